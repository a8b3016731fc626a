// What the page knows, and every way it changes: pure functions from one state to the next.
//
// `conf` holds the thresholds that were moved; a model without an entry stands at its tuned ones. `solo` is the one
// model that is looked at, `off` what is switched off altogether.

import { FIT } from "./view.js";
import { PLAIN } from "./light.js";

export const ASK_FROM = 0.02;
const HIGHEST = 0.99;
const SNAP = 0.0045; // below half a step: a step away from the tuned value never ends on it

export function initial(models, narrow = false) {
  const nothing = {
    phase: "empty",
    stage: "",
    source: null,
    answer: null,
    problem: null,
    models,
    cards: {},
    conf: {},
    off: { models: [], classes: [] },
    layout: "four",
    fused: false,
    boxes: true,
    light: PLAIN,
    view: FIT,
    lifted: null,
  };
  return resized(nothing, narrow);
}

export function learned(state, cards) {
  return { ...state, cards: Object.fromEntries(cards.map((card) => [card.name, card])) };
}

// A new film: thresholds and switches stay, what was said about the last film goes.
export function chosen(state, source) {
  const fresh = { source, phase: "reading", stage: "Opening the film", answer: null, problem: null };
  return { ...state, ...fresh, light: { ...PLAIN, invert: state.light.invert }, view: FIT, lifted: null };
}

export function reached(state, stage) {
  return { ...state, stage };
}

export function answered(state, answer) {
  return { ...state, phase: "result", answer };
}

export function failed(state, problem) {
  return { ...state, phase: "error", problem };
}

// A narrow page looks at one model, a wide one at all of them.
export function resized(state, narrow) {
  return { ...state, narrow, solo: narrow ? (onModels(state)[0] ?? null) : null };
}

// A problem that leaves the result as it is, for example a picture that could not be made; null when it is over. Its
// own button is there for another try: the film need not be read again.
export function complained(state, problem) {
  return { ...state, problem: problem && { ...problem, retry: false } };
}

// The score the server is asked to start from: low enough for every slider and every tuned threshold.
export function askFrom(cards) {
  const tunedOf = ({ thresholds: { conf, per_class: byClass } }) => [conf, ...Object.values(byClass)];
  return Math.min(ASK_FROM, ...Object.values(cards).flatMap(tunedOf));
}

// The score at which a slider stands.
export function confOf(state, model) {
  return state.conf[model] ?? state.cards[model]?.thresholds.conf ?? ASK_FROM;
}

export function isTuned(state, model) {
  return !(model in state.conf);
}

// Moved onto its tuned value, a threshold is tuned again.
export function moved(state, model, conf) {
  const wished = Math.min(HIGHEST, Math.max(ASK_FROM, Math.round(conf * 100) / 100));
  const { [model]: _, ...others } = state.conf;
  const tuned = state.cards[model]?.thresholds.conf;
  return { ...state, conf: Math.abs(wished - tuned) < SNAP ? others : { ...others, [model]: wished } };
}

export function tuned(state, model) {
  const { [model]: _, ...others } = state.conf;
  return { ...state, conf: others };
}

// One step on the slider of the model looked at, or on all of them.
export function nudged(state, step) {
  const models = state.solo ? [state.solo] : onModels(state);
  return models.reduce((next, model) => moved(next, model, confOf(next, model) + step), state);
}

export function switchedModel(state, model) {
  const off = { ...state.off, models: toggled(state.off.models, model) };
  return { ...state, off, solo: off.models.includes(state.solo) ? null : state.solo };
}

export function switchedClass(state, name) {
  return { ...state, off: { ...state.off, classes: toggled(state.off.classes, name) } };
}

// Look at one model alone; it is switched on for that. Null looks at all.
export function looked(state, model) {
  const models = state.off.models.filter((name) => name !== model);
  return { ...state, solo: model, fused: false, off: { ...state.off, models } };
}

export function laidOut(state, layout) {
  return { ...state, layout, solo: null, fused: layout === "one" && state.fused };
}

export function fusing(state, fused) {
  return { ...state, fused, solo: fused ? null : state.solo };
}

// The finding under the pointer or the focus; null is none.
export function lift(state, lifted) {
  return state.lifted === lifted ? state : { ...state, lifted };
}

export function onModels(state) {
  return state.models.filter((name) => !state.off.models.includes(name));
}

// The panels on the screen: one model, all as layers on one film, or side by side.
export function panelsOf(state) {
  const on = onModels(state);
  if (state.solo) return [state.solo];
  return state.layout === "one" || state.fused || state.narrow || !on.length ? ["all"] : on;
}

function toggled(list, item) {
  return list.includes(item) ? list.filter((other) => other !== item) : [...list, item];
}

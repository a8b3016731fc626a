// Single keys. They can be switched off in the help, for people who speak to their computer.

import { byId } from "./dom.js";
import { fusing, looked, nudged } from "./state.js";
import { inverted, ZOOM_STEP } from "./toolbar.js";

const REMEMBERED = "single-keys";
const PAN_PX = 48;
const ARROWS = { ArrowLeft: [PAN_PX, 0], ArrowRight: [-PAN_PX, 0], ArrowUp: [0, PAN_PX], ArrowDown: [0, -PAN_PX] };

export function keys(store, viewer) {
  const help = byId("help");
  const single = byId("single-keys");
  single.checked = remembered() !== "off";
  single.addEventListener("change", () => remember(single.checked ? "on" : "off"));
  byId("open-help").addEventListener("click", () => help.showModal());
  byId("close-help").addEventListener("click", () => help.close());

  const acts = {
    u: () => byId("file").click(),
    a: () => store.change(looked, null),
    i: () => store.change(inverted),
    b: () => byId("boxes").click(),
    v: () => byId(store.get().layout === "one" ? "four-up" : "one-up").click(),
    f: () => store.change((state) => fusing(state, !state.fused)),
    "[": () => store.change(nudged, -0.01),
    "]": () => store.change(nudged, 0.01),
    "+": () => viewer.zoom(ZOOM_STEP),
    "=": () => viewer.zoom(ZOOM_STEP),
    "-": () => viewer.zoom(1 / ZOOM_STEP),
    0: () => viewer.fit(),
    "?": () => help.showModal(),
  };

  document.addEventListener("keydown", (event) => {
    if (help.open || chord(event)) return;
    if (event.key === "Escape") back(store, viewer);
    else if (event.key in ARROWS) panBy(event, store, viewer);
    else if (single.checked) {
      const model = store.get().models[Number(event.key) - 1];
      if (model && model in store.get().cards) store.change(looked, model);
      else acts[event.key.toLowerCase()]?.();
    }
  });
}

// One step back: out of a row, then from one model to all, then to the whole film.
function back(store, viewer) {
  const { solo, narrow } = store.get();
  if (document.activeElement?.matches(".finding")) document.activeElement.blur();
  else if (solo && !narrow) store.change(looked, null);
  else viewer.fit();
}

// Arrows move a zoomed film; otherwise they scroll the page, and in a slider they are the slider's.
function panBy(event, store, viewer) {
  if (store.get().view.zoom <= 1 || event.target.matches("input")) return;
  event.preventDefault();
  viewer.pan(...ARROWS[event.key]);
}

// On many keyboards [ and ] need AltGr, which some systems report as Ctrl and Alt.
function chord(event) {
  return (event.ctrlKey || event.metaKey || event.altKey) && !event.getModifierState("AltGraph");
}

function remembered() {
  try {
    return localStorage.getItem(REMEMBERED);
  } catch {
    return null; // storage is switched off
  }
}

function remember(value) {
  try {
    localStorage.setItem(REMEMBERED, value);
  } catch {
    // storage is switched off: the choice holds for this page only
  }
}

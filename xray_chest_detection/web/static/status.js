// What the page says in words: headline, facts, stage, warning, problem, and the announcements for screen readers.

import { tally } from "./agreement.js";
import { byId } from "./dom.js";
import { findings } from "./selectors.js";
import { onModels } from "./state.js";
import { announcement, caution, facts, headline } from "./words.js";

const ANNOUNCE_AFTER_MS = 500;

export class Status {
  constructor(main, store, viewer) {
    this.main = main;
    this.viewer = viewer;
    this.spoken = "";
    this.problem = null;
    const needs = (state) => [state.phase, state.stage, state.source, state.problem, state.answer, findings(state), state.off];
    store.listen((state) => this.render(state), needs);
  }

  render(state) {
    const { phase } = state;
    this.main.dataset.state = phase;
    this.main.setAttribute("aria-busy", String(phase === "reading"));
    this.renderHead(state);
    this.renderProblem(state);
    const warning = state.answer?.chest && !state.answer.chest.passed ? state.answer.chest.message : "";
    byId("chest").hidden = !warning;
    byId("chest-message").textContent = warning;
    // The films have the page once one was chosen; an error that left no picture gives it back to the chooser.
    const open = phase === "reading" || phase === "result" || (phase === "error" && this.viewer.hasPicture);
    this.main.classList.toggle("open", open);
    byId("reading").hidden = !open;
    this.say(this.speech(state), phase === "result" ? ANNOUNCE_AFTER_MS : 0);
  }

  renderHead(state) {
    const { phase, source, answer } = state;
    const found = tally(findings(state));
    const heads = { empty: "", reading: `Reading ${source?.name}`, error: source?.name, result: headline(found, onModels(state).length) };
    byId("headline").textContent = heads[phase];
    byId("facts").textContent = { empty: "", reading: state.stage, error: "Not read by any model" }[phase] ?? facts(source.name, answer);
    byId("caution").textContent = phase === "result" ? caution(found) : "";
  }

  renderProblem({ problem }) {
    if (problem === this.problem) return; // an alert is spoken again when it is written again
    this.problem = problem;
    byId("problem").hidden = !problem;
    byId("problem-title").textContent = problem?.title ?? "";
    byId("problem-detail").textContent = problem?.detail ?? "";
    byId("problem-cure").textContent = problem?.cure ?? "";
    byId("again").hidden = !problem?.retry;
  }

  speech(state) {
    if (state.phase === "reading") return `Reading ${state.source.name}`;
    if (state.phase !== "result") return "";
    const found = tally(findings(state));
    const warning = byId("chest-message").textContent;
    return [warning, announcement(found), caution(found)].filter(Boolean).join(". ");
  }

  // A slider on its way says nothing; where it stops is said once.
  say(text, after) {
    if (text === this.spoken) return;
    this.spoken = text;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => (byId("announcer").textContent = text), after);
  }
}

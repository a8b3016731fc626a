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
    const needs = ({ phase, stage, source, problem, answer, off }) => [phase, stage, source, problem, answer, off];
    store.listen((state) => this.render(state), (state) => [...needs(state), findings(state)]);
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
    const [head, line, care] = wordsFor(state, tally(findings(state)));
    byId("headline").textContent = head;
    byId("facts").textContent = line;
    byId("caution").textContent = care;
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
    const warning = byId("chest-message").textContent.replace(/\.$/, "");
    return [warning, announcement(found, onModels(state).length), caution(found)].filter(Boolean).join(". ");
  }

  // A slider on its way says nothing; where it stops is said once.
  say(text, after) {
    if (text === this.spoken) return;
    this.spoken = text;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => (byId("announcer").textContent = text), after);
  }
}

// Headline, line below it and caution, by the phase.
function wordsFor(state, found) {
  const { phase, stage, source, answer } = state;
  if (phase === "reading") return [`Reading ${source.name}`, stage, ""];
  if (phase === "error") return [source.name, "Not read by any model", ""];
  if (phase === "empty") return ["", "", ""];
  return [headline(found, onModels(state).length), facts(source, answer), caution(found)];
}

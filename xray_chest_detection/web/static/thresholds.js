// A row for each model: its switch, its threshold with the tuned value marked, and what its card knows there.

import { knownAt } from "./curve.js";
import { ASK_FROM, confOf, isTuned, moved, switchedModel, tuned } from "./state.js";

export class Thresholds {
  constructor(root, store) {
    this.root = root;
    this.rows = [...root.querySelectorAll("[data-model]")].map((row) => new Row(row, store));
    const needs = ({ cards, conf, off, solo }) => [cards, conf, off, solo];
    store.listen((state) => this.render(state), needs);
  }

  render(state) {
    this.root.classList.toggle("single", state.solo !== null);
    for (const row of this.rows) row.render(state);
  }
}

class Row {
  constructor(root, store) {
    this.root = root;
    this.model = root.dataset.model;
    this.toggle = root.querySelector("input[type=checkbox]");
    this.slider = root.querySelector("input[type=range]");
    this.value = root.querySelector(".value");
    this.known = root.querySelector(".known");
    this.back = root.querySelector(".back");
    this.toggle.addEventListener("change", () => store.change(switchedModel, this.model));
    this.slider.addEventListener("input", () => store.change(moved, this.model, Number(this.slider.value)));
    this.back.addEventListener("click", () => {
      store.change(tuned, this.model);
      this.slider.focus({ preventScroll: true });
    });
  }

  render(state) {
    const card = state.cards[this.model];
    if (!card) return;
    const [conf, atTuned] = [confOf(state, this.model), isTuned(state, this.model)];
    const on = !state.off.models.includes(this.model);
    const { conf: tunedConf } = card.thresholds;
    this.root.classList.toggle("off", !on);
    this.root.classList.toggle("aside", state.solo !== null && state.solo !== this.model);
    this.toggle.checked = on;
    this.slider.disabled = !on;
    this.slider.value = conf;
    this.slider.setAttribute("aria-valuetext", `${conf.toFixed(2)}${atTuned ? ", tuned" : ""}`);
    this.root.style.setProperty("--at", share(conf));
    this.root.style.setProperty("--tuned", share(tunedConf));
    this.value.textContent = conf.toFixed(2);
    this.known.textContent = on ? knownAt(card, state.conf[this.model] ?? null) : "Switched off";
    const back = atTuned ? "tuned" : `back to ${tunedConf.toFixed(2)}`;
    this.back.textContent = back;
    this.back.setAttribute("aria-label", `${back}: threshold of ${card.title}`);
    this.back.disabled = atTuned;
  }
}

// Where a score stands on the track, 0 to 1.
function share(conf) {
  return Math.max(0, (conf - ASK_FROM) / (0.99 - ASK_FROM));
}

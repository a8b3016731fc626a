// The findings as a table: one row for each, one column for each model, shared findings first.

import { isShared } from "./agreement.js";
import { h, swatch } from "./dom.js";
import { findings } from "./selectors.js";
import { memo } from "./store.js";
import { lift, onModels } from "./state.js";

const MOST_ROWS = 40;

export class Table {
  constructor(root, store) {
    this.root = root;
    this.store = store;
    this.more = document.getElementById("more-rows");
    this.rebuilt = memo((found, models) => this.build(found, models));
    const idOf = ({ target }) => target.closest("tr[data-id]")?.dataset.id ?? null;
    root.addEventListener("pointerover", (event) => store.change(lift, idOf(event)));
    root.addEventListener("pointerleave", () => store.change(lift, null));
    root.addEventListener("focusin", (event) => store.change(lift, idOf(event)));
    root.addEventListener("focusout", () => store.change(lift, null));
    store.listen((state) => this.render(state), (state) => [findings(state), state.lifted, state.off, state.answer]);
  }

  // Focus the row of a finding; the row lifts its boxes.
  pick(id) {
    const button = this.rowOf(id)?.querySelector("button");
    button?.focus({ preventScroll: true });
    button?.scrollIntoView({ block: "nearest" });
  }

  render(state) {
    const models = onModels(state).filter((name) => state.answer && name in state.answer.models);
    this.rebuilt(findings(state), models.join());
    for (const row of this.root.querySelectorAll("tr[data-id]")) {
      row.classList.toggle("lifted", row.dataset.id === state.lifted);
    }
    this.root.classList.toggle("lifting", state.lifted !== null);
  }

  build(found, names) {
    const models = names.split(",");
    const focused = document.activeElement?.closest?.("tr[data-id]")?.dataset.id;
    const rows = found.slice(0, MOST_ROWS);
    const parts = [
      ["Shared by two or more models", rows.filter(isShared)],
      ["Marked by one model alone", rows.filter((finding) => !isShared(finding))],
    ];
    this.root.hidden = !found.length;
    for (const head of this.root.querySelectorAll("[data-column]")) head.hidden = !models.includes(head.dataset.column);
    this.root.querySelectorAll("tbody").forEach((part) => part.remove());
    this.root.append(...parts.filter(([, list]) => list.length).map(([title, list]) => section(title, list, models)));
    this.more.hidden = found.length <= MOST_ROWS;
    this.more.textContent = `and ${found.length - MOST_ROWS} more of lower score; raise a threshold to see fewer`;
    if (focused) this.rowOf(focused)?.querySelector("button").focus({ preventScroll: true });
  }

  rowOf(id) {
    return this.root.querySelector(`tr[data-id="${CSS.escape(id)}"]`);
  }
}

function section(title, list, models) {
  const head = h("tr", {}, h("th", { colspan: models.length + 1, scope: "rowgroup", class: "group" }, title));
  return h("tbody", {}, head, ...list.map((finding) => row(finding, models)));
}

function row(finding, models) {
  const button = h("button", { type: "button", class: "finding" }, swatch(finding), h("span", {}, finding.class));
  const scores = models.map((model) => cell(finding.members.find((mark) => mark.model === model)));
  return h("tr", { "data-id": finding.id }, h("th", { scope: "row" }, button), ...scores);
}

function cell(mark) {
  if (mark) return h("td", { class: "n" }, mark.score.toFixed(2));
  const spoken = h("span", { class: "visually-hidden" }, "no mark");
  return h("td", { class: "n none" }, h("span", { "aria-hidden": "true" }, "·"), spoken);
}

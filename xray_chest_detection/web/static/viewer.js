// The panels: one for each model and one for all of them, with one zoom, one pan and one window for all.

import { isShared } from "./agreement.js";
import { findingOf, findings, allMarks, fusedMarks, shownOf } from "./selectors.js";
import { Film } from "./film.js";
import { gestures } from "./gestures.js";
import { dragged, isPlain, transfer } from "./light.js";
import { dashOf } from "./marks.js";
import { memo } from "./store.js";
import { lift, onModels, panelsOf } from "./state.js";
import { FIT, panned, zoomed } from "./view.js";
import { countOf } from "./words.js";

const TWICE = 2.5;

export class Viewer {
  constructor(root, store, { onPick }) {
    this.store = store;
    this.root = root;
    this.filter = document.getElementById("window");
    const onResize = () => this.render(store.get());
    const panels = [...root.querySelectorAll(".panel")];
    this.panels = new Map(panels.map((panel) => [panel.dataset.model, panelOf(panel, store, onResize)]));
    this.marksIn = memo(marksByPanel);
    this.idsOf = memo(liftedIds);
    this.lightUp = memo((light) => this.renderLight(light));
    for (const { film } of this.panels.values()) this.listen(film, onPick);
    store.listen((state) => this.render(state));
  }

  show(source) {
    for (const { film } of this.panels.values()) film.show(source);
  }

  get shown() {
    return this.first.film.settled;
  }

  replace(url) {
    for (const { film } of this.panels.values()) film.replace(url);
  }

  get hasPicture() {
    return this.first.film.hasPicture;
  }

  get first() {
    return this.panels.get(panelsOf(this.store.get())[0]);
  }

  // Zoom and pan asked for by keys and buttons happen in the middle of the first panel.
  zoom(factor) {
    const { width, height } = this.first.film.bounds;
    this.zoomAt(this.first.film, factor, { x: width / 2, y: height / 2 });
  }

  pan(across, down) {
    this.panOn(this.first.film, across, down);
  }

  fit() {
    this.store.change((state) => ({ ...state, view: FIT }));
  }

  zoomAt(film, factor, point) {
    const size = film.sizeIn(this.store.get().answer);
    if (size) this.store.change((state) => ({ ...state, view: zoomed(state.view, factor, point, size, film.bounds) }));
  }

  panOn(film, across, down) {
    const size = film.sizeIn(this.store.get().answer);
    if (size) this.store.change((state) => ({ ...state, view: panned(state.view, across, down, size, film.bounds) }));
  }

  listen(film, onPick) {
    const { stage, overlay } = film;
    gestures(stage, {
      zoom: (factor, point) => this.zoomAt(film, factor, point),
      pan: (across, down) => this.panOn(film, across, down),
      light: (across, down) => this.light(film, across, down),
      twice: (point) => (this.store.get().view.zoom > 1 ? this.fit() : this.zoomAt(film, TWICE, point)),
    });
    const findingAt = ({ target }) => findingOf(this.store.get()).get(target.closest("[data-id]")?.dataset.id) ?? null;
    overlay.addEventListener("pointerover", (event) => this.store.change(lift, findingAt(event)));
    overlay.addEventListener("pointerleave", () => this.store.change(lift, null));
    overlay.addEventListener("click", (event) => findingAt(event) && onPick(findingAt(event)));
  }

  light(film, across, down) {
    const { width, height } = film.bounds;
    this.store.change((state) => ({ ...state, light: dragged(state.light, across / width, down / height) }));
  }

  render(state) {
    const names = panelsOf(state);
    Object.assign(this.root.dataset, { panels: names.length, zoomed: state.view.zoom > 1, boxes: state.boxes });
    this.lightUp(state.light);
    const found = findings(state);
    const marks = this.marksIn(shownOf(state), state.models, state.fused, allMarks(state), found, fusedMarks(state));
    const lifted = this.idsOf(state.lifted, found);
    for (const [name, { root, film, count }] of this.panels) {
      root.hidden = !names.includes(name);
      if (root.hidden) continue;
      film.draw(state, marks[name] ?? []);
      film.lift(lifted);
      count.textContent = state.phase === "result" ? countIn(state, name, marks[name]) : "";
      count.classList.toggle("failed", Boolean(state.answer?.errors?.[name]));
    }
  }

  renderLight(light) {
    this.root.classList.toggle("lit", !isPlain(light));
    const { slope, intercept } = transfer(light);
    for (const part of this.filter.querySelectorAll("feFuncR, feFuncG, feFuncB")) {
      part.setAttribute("slope", slope);
      part.setAttribute("intercept", intercept);
    }
  }
}

function panelOf(root, store, onResize) {
  const onLoad = () => store.change((state) => ({ ...state })); // the picture's size is known now
  const film = new Film(root.querySelector(".stage"), { onLoad, onResize });
  return { root, film, count: root.querySelector(".count") };
}

// What each panel draws: line style by model; on the film of all models a shared finding is written once.
function marksByPanel({ marks }, models, fused, all, found, melted) {
  const dash = (mark) => dashOf(models.indexOf(mark.model));
  const written = (mark, { class: name, letter, colour }, text) => ({ ...mark, name, chip: { letter, colour }, text });
  const single = (mark) => written({ ...mark, dash: dash(mark) }, mark, mark.score.toFixed(2));
  const lead = new Map(found.map((finding) => [finding.id, finding]));
  const layer = (mark) => {
    const finding = lead.get(mark.id);
    return finding ? written(single(mark), finding, weightOf(finding.members)) : { ...single(mark), text: "" };
  };
  const melt = (mark) => written({ ...mark, dash: isShared(mark) ? "none" : dash(mark) }, mark, weightOf(mark.members));
  const panels = Object.entries(marks).map(([model, list]) => [model, list.map(single)]);
  return { ...Object.fromEntries(panels), all: fused ? melted.map(melt) : all.map(layer) };
}

function weightOf(members) {
  return members.length > 1 ? `× ${members.length}` : members[0].score.toFixed(2);
}

function countIn(state, name, marks) {
  const { counts } = shownOf(state);
  if (state.answer.errors?.[name]) return state.answer.errors[name];
  if (name !== "all") return countOf(marks?.length ?? 0, counts[name] ?? 0);
  if (state.fused) return `${marks.length} ${marks.length === 1 ? "finding" : "findings"}`;
  const total = onModels(state).reduce((sum, model) => sum + (counts[model] ?? 0), 0);
  return countOf(marks.length, total);
}

function liftedIds(lifted, found) {
  const finding = found.find(({ id }) => id === lifted);
  return finding ? new Set([finding.id, ...finding.members.map(({ id }) => id)]) : null;
}

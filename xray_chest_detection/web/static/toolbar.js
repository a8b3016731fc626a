// The buttons and sliders at the films: layout, fusing, boxes, window, zoom, model tabs, and the classes.

import { byId, h, press, swatch } from "./dom.js";
import { isPlain, PLAIN, windowed } from "./light.js";
import { classesOf } from "./marks.js";
import { memo } from "./store.js";
import { fusing, laidOut, looked, switchedClass } from "./state.js";
import { shownOf } from "./selectors.js";

export const ZOOM_STEP = 1.25;

export function toolbar(store, viewer) {
  const on = (id, act) => byId(id).addEventListener("click", act);
  on("four-up", () => store.change(laidOut, "four"));
  on("one-up", () => store.change(laidOut, "one"));
  on("fuse", () => store.change((state) => fusing(state, !state.fused)));
  on("boxes", () => store.change((state) => ({ ...state, boxes: !state.boxes })));
  on("invert", () => store.change(inverted));
  on("light-reset", () => store.change((state) => ({ ...state, light: PLAIN })));
  on("zoom-in", () => viewer.zoom(ZOOM_STEP));
  on("zoom-out", () => viewer.zoom(1 / ZOOM_STEP));
  on("fit", () => viewer.fit());
  for (const key of ["level", "width"]) {
    const moveTo = (state, value) => ({ ...state, light: windowed(state.light, { [key]: value }) });
    byId(key).addEventListener("input", ({ target }) => store.change(moveTo, Number(target.value)));
  }
  const tabs = [...document.querySelectorAll("[data-tab]")];
  for (const tab of tabs) tab.addEventListener("click", () => store.change(looked, tab.dataset.tab || null));
  const classSwitches = memo((cards) => drawClasses(cards, store));
  store.listen((state) => {
    renderTools(state);
    renderTabs(state, tabs);
    classSwitches(state.cards);
    for (const button of byId("classes").querySelectorAll("button")) {
      press(button, !state.off.classes.includes(button.dataset.class));
    }
  });
}

export function inverted(state) {
  return { ...state, light: { ...state.light, invert: !state.light.invert } };
}

function renderTools({ layout, fused, boxes, light, view, solo }) {
  press(byId("four-up"), layout === "four" && !fused && !solo);
  press(byId("one-up"), layout === "one" || fused);
  press(byId("fuse"), fused);
  press(byId("boxes"), boxes);
  press(byId("invert"), light.invert);
  for (const key of ["level", "width"]) {
    byId(key).value = light[key];
    byId(key).setAttribute("aria-valuetext", `${Math.round(100 * light[key])} %`);
  }
  byId("light-reset").disabled = isPlain(light);
  const zoom = `${Math.round(100 * view.zoom)} %`;
  byId("fit").textContent = zoom;
  byId("fit").setAttribute("aria-label", `${zoom}: fit the film`);
  byId("zoom-out").disabled = view.zoom <= 1;
}

function renderTabs(state, tabs) {
  const { counts } = shownOf(state);
  for (const tab of tabs) {
    const model = tab.dataset.tab;
    press(tab, (model || null) === state.solo);
    tab.querySelector(".tab-count").textContent = state.answer && model ? String(counts[model] ?? "–") : "";
  }
}

function drawClasses(cards, store) {
  const button = (entry) => {
    const click = () => store.change(switchedClass, entry.name);
    const looks = { type: "button", class: "class-switch", "data-class": entry.name };
    return h("button", { ...looks, click }, swatch(entry), entry.name);
  };
  byId("classes").replaceChildren(...classesOf(cards).map((entry) => h("li", {}, button(entry))));
}

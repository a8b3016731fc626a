// Elements in one expression. Attributes that are false, null or undefined are left out; functions become listeners.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

export function h(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

export function press(button, on) {
  button.setAttribute("aria-pressed", String(on));
}

// The letter of a class on its colour.
export function swatch({ letter, colour }) {
  const made = h("span", { class: "swatch", "aria-hidden": "true" }, letter);
  made.style.backgroundColor = colour;
  made.style.color = inkOn(colour);
  return made;
}

// Black or white, whichever reads better on `#rrggbb` (WCAG relative luminance).
export function inkOn(colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const value = parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 ? "#000" : "#fff";
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === "function") element.addEventListener(key, value);
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

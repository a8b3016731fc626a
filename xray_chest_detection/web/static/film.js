// One film with its boxes. Boxes come in pixels of the film and are drawn in pixels of the screen, so that lines and
// labels keep their size; every conversion goes through frame(), where zoom and pan will find their place.

import { placeLabels } from "./labels.js";

const SVG = "http://www.w3.org/2000/svg";
const LABEL = { height: 18, font: "12px system-ui, sans-serif", pad: 6, strip: 4 };
const FULL_LABELS_FROM_PX = 280;
const measuring = document.createElement("canvas").getContext("2d");
measuring.font = LABEL.font;

export class Film {
  constructor(stage, { onHover }) {
    this.stage = stage;
    this.image = stage.querySelector(".film");
    this.note = stage.querySelector(".stage-note");
    this.overlay = stage.querySelector(".overlay");
    this.size = null;
    this.marks = [];
    this.broken = false;
    this.onHover = onHover;
    new ResizeObserver(() => this.draw()).observe(stage);
    this.image.addEventListener("load", () => this.loaded());
    this.image.addEventListener("error", () => {
      this.broken = true;
      this.write("This browser cannot show the film itself");
    });
  }

  show(url, note, description) {
    this.size = null;
    this.marks = [];
    this.broken = false;
    this.draw();
    this.image.hidden = true;
    this.image.alt = description;
    if (url) this.image.src = url;
    else this.image.removeAttribute("src");
    this.write(url ? "" : note);
  }

  // Whether there is a picture to keep: shown already, or still on its way.
  get hasPicture() {
    return this.image.hasAttribute("src") && !this.broken;
  }

  replace(url) {
    this.image.src = url;
  }

  mark(size, marks) {
    this.size = size;
    this.marks = marks;
    this.stage.style.setProperty("--ratio", String(size.width / size.height));
    this.draw();
  }

  lift(index) {
    this.overlay.classList.toggle("lifting", index !== null);
    for (const group of this.overlay.children) group.classList.toggle("lifted", Number(group.dataset.index) === index);
  }

  loaded() {
    this.image.hidden = false;
    this.broken = false;
    this.write("");
    this.stage.style.setProperty("--ratio", String(this.image.naturalWidth / this.image.naturalHeight));
    this.draw();
  }

  write(text) {
    this.note.textContent = text;
    this.note.hidden = !text;
  }

  // Film pixels to screen pixels: the film is centred and fills the stage in one direction.
  frame() {
    const { clientWidth, clientHeight } = this.stage;
    const scale = Math.min(clientWidth / this.size.width, clientHeight / this.size.height);
    return {
      scale,
      left: (clientWidth - this.size.width * scale) / 2,
      top: (clientHeight - this.size.height * scale) / 2,
    };
  }

  draw() {
    this.overlay.replaceChildren();
    if (!this.size || !this.marks.length) return;
    const { scale, left, top } = this.frame();
    const bounds = { width: this.stage.clientWidth, height: this.stage.clientHeight };
    const full = this.size.width * scale >= FULL_LABELS_FROM_PX;
    const boxes = this.marks.map(({ box: [x1, y1, x2, y2] }) => ({
      x: left + x1 * scale,
      y: top + y1 * scale,
      width: Math.max(1, (x2 - x1) * scale),
      height: Math.max(1, (y2 - y1) * scale),
    }));
    const texts = this.marks.map((mark) => `${full ? mark.class : mark.letter} ${mark.score.toFixed(2)}`);
    const sizes = texts.map((text) => ({
      width: Math.ceil(measuring.measureText(text).width) + 2 * LABEL.pad + LABEL.strip,
      height: LABEL.height,
    }));
    const places = placeLabels(boxes, sizes, bounds);
    const order = this.marks.map((_, index) => index);
    // Large boxes first, so that the pointer reaches the small ones inside them; labels above all boxes, the best last.
    const largest = [...order].sort((a, b) => boxArea(boxes[b]) - boxArea(boxes[a]));
    this.overlay.replaceChildren(
      ...largest.map((index) => this.box(index, boxes[index])),
      ...order.reverse().map((index) => this.label(index, places[index], texts[index])),
    );
  }

  box(index, box) {
    return this.part(index, "mark-box", [
      element("rect", { class: "halo", ...box }),
      element("rect", { class: "line", ...box, stroke: this.marks[index].colour }),
    ]);
  }

  label(index, { rect, free }, text) {
    return this.part(index, free ? "mark-label" : "mark-label crowded", [
      element("rect", { class: "chip", ...rect, rx: 2 }),
      element("rect", { ...rect, width: LABEL.strip, fill: this.marks[index].colour }),
      element("text", { x: rect.x + LABEL.strip + LABEL.pad, y: rect.y + LABEL.height - 5 }, text),
    ]);
  }

  part(index, className, children) {
    const group = element("g", { class: className });
    group.dataset.index = index;
    group.append(...children);
    group.addEventListener("pointerenter", () => this.onHover(index));
    group.addEventListener("pointerleave", () => this.onHover(null));
    return group;
  }
}

function boxArea({ width, height }) {
  return width * height;
}

function element(name, attributes, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

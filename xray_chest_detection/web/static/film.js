// One film with its boxes in one panel. Boxes come in pixels of the film and are drawn in pixels of the screen, so that
// lines and labels keep their size however far the film is zoomed.

import { svg, inkOn } from "./dom.js";
import { placeLabels } from "./labels.js";
import { frame } from "./view.js";

const LABEL = { height: 18, font: "12px system-ui, sans-serif", pad: 5, strip: 16 };
const ROOMY_PX = 560;
const NARROW_PX = 280;
const FEW = 4;
const measuring = document.createElement("canvas").getContext("2d");
measuring.font = LABEL.font;
const widths = new Map();

export class Film {
  constructor(stage, { onLoad, onResize }) {
    this.stage = stage;
    this.image = stage.querySelector(".film");
    this.note = stage.querySelector(".stage-note");
    this.overlay = stage.querySelector(".overlay");
    this.broken = false;
    this.bounds = { width: 0, height: 0 };
    this.drawn = null;
    this.lifted = undefined;
    this.settle = () => {};
    this.settled = Promise.resolve();
    // Asking for the size would make the browser lay out the page in the middle of drawing it.
    new ResizeObserver(([{ contentRect: { width, height } }]) => {
      this.bounds = { width, height };
      onResize();
    }).observe(stage);
    this.image.addEventListener("load", () => {
      this.image.hidden = false;
      this.broken = false;
      this.write("");
      this.settle();
      onLoad();
    });
    this.image.addEventListener("error", () => {
      this.broken = true;
      this.write("This browser cannot open the file; the server renders it");
      this.settle();
    });
  }

  // `settled` resolves when the picture is shown, or cannot be: neither name nor type of a file says whether it can.
  show({ url, name }) {
    this.settled = new Promise((resolve) => (this.settle = resolve));
    this.broken = false;
    this.image.hidden = true;
    this.image.alt = `Film ${name}`;
    this.image.src = url;
    this.write("");
  }

  replace(url) {
    if (this.image.src !== url) this.image.src = url;
  }

  // Whether there is a picture to keep: shown already, or still on its way.
  get hasPicture() {
    return this.image.hasAttribute("src") && !this.broken;
  }

  // The size of the film in its own pixels: the server's once it is known, before that the picture's.
  sizeIn(answer) {
    if (answer) return { width: answer.width, height: answer.height };
    const { naturalWidth: width, naturalHeight: height } = this.image;
    return width ? { width, height } : null;
  }

  draw(state, marks) {
    const bounds = this.bounds;
    const size = this.sizeIn(state.answer);
    if (!size || !bounds.width) return;
    const wanted = [marks, state.view, size.width, size.height, bounds.width, bounds.height];
    if (this.drawn?.every((value, index) => value === wanted[index])) return;
    this.drawn = wanted;
    this.lifted = undefined; // the new boxes do not know yet
    const placed = frame(state.view, size, bounds);
    this.place(placed, size);
    this.drawMarks(marks, placed, size, bounds);
  }

  lift(ids) {
    if (ids === this.lifted) return;
    this.lifted = ids;
    this.overlay.classList.toggle("lifting", ids !== null);
    for (const group of this.overlay.children) group.classList.toggle("lifted", ids?.has(group.dataset.id) ?? false);
  }

  write(text) {
    this.note.textContent = text;
    this.note.hidden = !text;
  }

  place({ scale, left, top }, size) {
    Object.assign(this.image.style, {
      width: `${size.width}px`,
      height: `${size.height}px`,
      transform: `translate(${left}px, ${top}px) scale(${scale})`,
    });
    this.stage.style.setProperty("--ratio", String(size.width / size.height));
  }

  drawMarks(marks, { scale, left, top }, size, bounds) {
    const boxes = marks.map(({ box: [x1, y1, x2, y2] }) => ({
      x: left + x1 * scale,
      y: top + y1 * scale,
      width: Math.max(1, (x2 - x1) * scale),
      height: Math.max(1, (y2 - y1) * scale),
    }));
    const labelled = marks.flatMap((mark, index) => (mark.text && inside(boxes[index], bounds) ? [index] : []));
    const full = named(Math.min(size.width * scale, bounds.width), labelled.length);
    const texts = labelled.map((index) => textOf(marks[index], full, bounds));
    const places = placeLabels(labelled.map((index) => boxes[index]), texts.map(labelSize), bounds);
    // Large boxes first, so that the pointer reaches the small ones inside them; labels above all boxes, the best last.
    const largest = [...marks.keys()].sort((a, b) => area(boxes[b]) - area(boxes[a]));
    this.overlay.replaceChildren(
      ...largest.map((index) => boxPart(marks[index], boxes[index])),
      ...labelled.map((index, place) => labelPart(marks[index], places[place], texts[place])).reverse(),
    );
  }
}

function boxPart(mark, box) {
  const line = svg("rect", { class: "line", ...box, stroke: mark.colour, "stroke-dasharray": mark.dash });
  return svg("g", { class: "mark-box", "data-id": mark.id }, svg("rect", { class: "halo", ...box }), line);
}

function labelPart(mark, { rect, free }, text) {
  const letterX = rect.x + LABEL.strip / 2;
  const baseline = rect.y + LABEL.height - 5;
  return svg(
    "g",
    { class: free ? "mark-label" : "mark-label crowded", "data-id": mark.id },
    svg("rect", { class: "chip", ...rect, rx: 2 }),
    svg("rect", { ...rect, width: LABEL.strip, rx: 2, fill: mark.chip.colour }),
    svg("text", { class: "letter", x: letterX, y: baseline, fill: inkOn(mark.chip.colour) }, mark.chip.letter),
    svg("text", { x: rect.x + LABEL.strip + LABEL.pad, y: baseline }, text),
  );
}

// A name too long for the panel would push the score out of it.
function textOf({ name, text }, full, bounds) {
  const long = `${name} ${text}`;
  return full && labelSize(long).width <= bounds.width ? long : text;
}

function labelSize(text) {
  if (!widths.has(text)) widths.set(text, Math.ceil(measuring.measureText(text).width));
  return { width: widths.get(text) + 2 * LABEL.pad + LABEL.strip, height: LABEL.height };
}

// Whether labels say the class beside its letter: where there is room, or few of them.
function named(width, count) {
  return width >= ROOMY_PX || (width >= NARROW_PX && count <= FEW);
}

function inside({ x, y, width, height }, bounds) {
  return x < bounds.width && y < bounds.height && x + width > 0 && y + height > 0;
}

function area({ width, height }) {
  return width * height;
}

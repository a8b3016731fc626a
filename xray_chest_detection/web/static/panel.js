// One model: its film, its marks as a list, and its states.

import { Film } from "./film.js";

const MANY = 8;

export class Panel {
  constructor(root) {
    this.root = root;
    this.name = root.dataset.model;
    this.missing = "missing" in root.dataset;
    this.classes = new Map(JSON.parse(root.dataset.classes ?? "[]").map((entry) => [entry.name, entry]));
    this.count = root.querySelector(".count");
    this.list = root.querySelector(".marks");
    this.film = new Film(root.querySelector(".stage"), { onHover: (index) => this.lift(index) });
  }

  read(source) {
    this.film.show(source.url, "The server is rendering the film", `Film ${source.name}`);
    this.write("", []);
  }

  show(result) {
    if (result.preview) this.film.replace(result.preview);
    if (this.missing) return;
    const found = result.models[this.name];
    if (!found) {
      this.write(result.errors[this.name] ?? "This model gave no answer.", []);
      return;
    }
    const marks = found.map((mark) => ({ ...mark, ...this.look(mark.class) }));
    this.film.mark(result, marks);
    this.write(countOf(marks), marks);
  }

  look(name) {
    const { letter, colour } = this.classes.get(name) ?? { letter: name[0], colour: "#e8e8e8" };
    return { letter, colour };
  }

  write(text, marks) {
    if (this.missing) return;
    this.lift(null);
    this.count.textContent = text;
    this.count.hidden = !text;
    this.list.replaceChildren(...marks.map((mark, index) => this.row(mark, index)));
  }

  row(mark, index) {
    const swatch = span("swatch", mark.letter);
    swatch.style.backgroundColor = mark.colour;
    swatch.setAttribute("aria-hidden", "true");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "mark";
    button.append(swatch, span("mark-name", mark.class), span("mark-score", mark.score.toFixed(2)));
    button.setAttribute("aria-label", `${mark.class}, score ${mark.score.toFixed(2)}`);
    button.addEventListener("pointerenter", () => this.lift(index));
    button.addEventListener("pointerleave", () => this.lift(null));
    button.addEventListener("focus", () => this.lift(index));
    button.addEventListener("blur", () => this.lift(null));
    const item = document.createElement("li");
    item.append(button);
    return item;
  }

  lift(index) {
    this.film.lift(index);
    this.list.classList.toggle("lifting", index !== null);
    [...this.list.children].forEach((item, place) => item.classList.toggle("lifted", place === index));
  }
}

// The list says it for a few; nothing, and more than fit on the screen, need words.
function countOf(marks) {
  if (!marks.length) return "Marks nothing at this threshold.";
  return marks.length > MANY ? `${marks.length} marks, best first` : "";
}

function span(className, text) {
  const made = document.createElement("span");
  made.className = className;
  made.textContent = text;
  return made;
}

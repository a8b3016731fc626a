// Wires the page together. The state is one of empty, reading, result, error and stands on <main data-state>.

import { Problem, picture, predict } from "./api.js";
import { chooser } from "./chooser.js";
import { Panel } from "./panel.js";
import { caution, facts, headline } from "./words.js";

const byId = (id) => document.getElementById(id);
const main = byId("main");
const panels = [...document.querySelectorAll(".panel")].map((root) => new Panel(root));
const address = main.dataset.predict;

let source = null;
let result = null;
let pending = null;

async function read(chosen) {
  pending?.abort();
  const mine = (pending = new AbortController());
  if (source?.file && source.url && source !== chosen) URL.revokeObjectURL(source.url);
  source = chosen;
  result = null;
  begin();
  try {
    refuseLarge(chosen);
    const answer = await predict(address, chosen, mine.signal);
    if (mine === pending) finish(answer);
  } catch (error) {
    if (mine === pending && error.name !== "AbortError") fail(error);
  }
}

function begin() {
  setState("reading");
  byId("problem").hidden = true;
  open(true);
  byId("headline").textContent = `Reading ${source.name}`;
  byId("facts").textContent = `Asking ${panels.filter((panel) => !panel.missing).length} models`;
  byId("caution").textContent = "";
  for (const panel of panels) panel.read(source);
  say(`Reading ${source.name}`);
}

function finish(answer) {
  result = answer;
  setState("result");
  byId("headline").textContent = headline(answer);
  byId("facts").textContent = facts(source.name, answer);
  byId("caution").textContent = caution(answer);
  for (const panel of panels) panel.show(answer);
  say(`${headline(answer)}. ${caution(answer)}`);
}

function fail(error) {
  const problem =
    error instanceof Problem
      ? error
      : new Problem({ title: "The page failed", detail: String(error.message ?? error), cure: "Reload the page.", retry: true });
  setState("error");
  byId("headline").textContent = source.name;
  byId("facts").textContent = "Not read by any model";
  byId("problem-title").textContent = problem.title;
  byId("problem-detail").textContent = problem.detail;
  byId("problem-cure").textContent = problem.cure;
  byId("again").hidden = !problem.retry;
  byId("problem").hidden = false;
  open(panels.some((panel) => panel.film.hasPicture)); // the chosen picture stays, where there is one
  say("");
}

function refuseLarge({ file }) {
  const limit = Number(main.dataset.maxBytes);
  if (!file || file.size < limit) return;
  const mib = (bytes) => (bytes / 2 ** 20).toFixed(0);
  throw new Problem({
    title: "This file is too large",
    detail: `${file.name} has ${mib(file.size)} MiB; this server takes less than ${mib(limit)} MiB.`,
    cure: "Export the image with fewer pixels or as PNG or JPEG.",
  });
}

function setState(state) {
  main.dataset.state = state;
  main.setAttribute("aria-busy", String(state === "reading"));
  for (const id of ["save-picture", "save-json"]) byId(id).disabled = state !== "result";
}

// Open: the films have the page, and the chooser is one row. Otherwise the chooser has it.
function open(on) {
  main.classList.toggle("open", on);
  byId("reading").hidden = !on;
}

function say(text) {
  byId("announcer").textContent = text;
}

function toggle(button, className, pressedMeansOn) {
  const pressed = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(pressed));
  byId("reading").classList.toggle(className, pressed === pressedMeansOn);
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

async function savePicture() {
  const button = byId("save-picture");
  button.disabled = true;
  try {
    save(await picture(address, source), "xray-marks.png");
  } catch (error) {
    fail(error);
  }
  button.disabled = main.dataset.state !== "result";
}

function saveJson() {
  const { preview, ...plain } = result;
  save(new Blob([JSON.stringify(plain, null, 2)], { type: "application/json" }), "xray-marks.json");
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const shortcuts = { u: "file", i: "invert", b: "boxes" };
  const target = shortcuts[event.key.toLowerCase()];
  if (target) byId(target).click();
  if (event.key === "Escape" && document.activeElement?.classList.contains("mark")) document.activeElement.blur();
}

chooser({ input: byId("file"), samples: [...document.querySelectorAll(".sample")], curtain: byId("curtain"), onChoose: read });
byId("again").addEventListener("click", () => read(source));
byId("invert").addEventListener("click", () => toggle(byId("invert"), "inverted", true));
byId("boxes").addEventListener("click", () => toggle(byId("boxes"), "bare", false));
byId("save-picture").addEventListener("click", savePicture);
byId("save-json").addEventListener("click", saveJson);
document.addEventListener("keydown", onKey);
main.dataset.ready = "";

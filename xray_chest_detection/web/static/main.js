// Wires the page together. The phase is one of empty, reading, result, error and stands on <main data-state>.

import * as api from "./api.js";
import { chooser } from "./chooser.js";
import { byId } from "./dom.js";
import { downloads } from "./downloads.js";
import { keys } from "./keys.js";
import { Status } from "./status.js";
import { answered, askFrom, chosen, complained, failed, initial, learned, reached, resized } from "./state.js";
import { createStore } from "./store.js";
import { Table } from "./table.js";
import { Thresholds } from "./thresholds.js";
import { toolbar } from "./toolbar.js";
import { Viewer } from "./viewer.js";
import { lookingNow } from "./words.js";

const SHOW_FILM_MS = 400;
const main = byId("main");
const models = JSON.parse(main.dataset.models);
const narrow = matchMedia("(max-width: 760px)");
const store = createStore(initial(models, narrow.matches));
const viewer = new Viewer(byId("viewer"), store, { onPick: (id) => table.pick(id) });
const table = new Table(byId("findings"), store);

let pending = null;

async function read(source) {
  pending?.abort();
  const mine = (pending = new AbortController());
  release(store.get().source, source);
  store.change(chosen, source);
  viewer.show(source);
  store.flush(); // at once: a frame may be far away on a busy machine
  try {
    await Promise.race([viewer.shown, pause(SHOW_FILM_MS)]);
    check(source);
    const answer = await ask(source, mine.signal);
    if (mine === pending) finish(answer);
  } catch (error) {
    if (mine === pending && error.name !== "AbortError") store.change(failed, problemFrom(error));
  }
}

async function ask(source, signal) {
  await learn();
  const stage = (text) => !signal.aborted && store.change(reached, text);
  const looking = lookingNow(Object.keys(store.get().cards).length);
  stage(source.sample ? looking : "Sending the film");
  const onProgress = (sent) => stage(sent < 1 ? `Sending the film, ${Math.round(100 * sent)} %` : looking);
  const fields = [["preview", "1"], ["conf", String(askFrom(store.get().cards))]];
  return api.predict(main.dataset.predict, source, fields, { signal, onProgress });
}

// The cards are asked for when the page opens; again here if that failed.
async function learn() {
  if (!Object.keys(store.get().cards).length) store.change(learned, await api.cards(main.dataset.cards));
}

function finish(answer) {
  if (answer.preview) viewer.replace(answer.preview);
  store.change(answered, answer);
}

function problemFrom(error) {
  if (error instanceof api.Problem) return error;
  const detail = String(error.message ?? error);
  return new api.Problem({ title: "The page failed", detail, cure: "Reload the page.", retry: true });
}

// What need not be sent to be refused.
function check({ name, file }) {
  if (!file) return;
  const limit = Number(main.dataset.maxBytes);
  const mib = (bytes) => (bytes / 2 ** 20).toFixed(0);
  const refuse = (title, detail, cure) => {
    throw new api.Problem({ title, detail, cure });
  };
  if (!file.size) refuse("This file is empty", `${name} has 0 bytes.`, "Copy or export it again.");
  if (file.size >= limit) {
    const detail = `${name} has ${mib(file.size)} MiB; this server takes less than ${mib(limit)} MiB.`;
    refuse("This file is too large", detail, "Export the image with fewer pixels or as PNG or JPEG.");
  }
}

function release(last, next) {
  if (last?.file && last !== next) URL.revokeObjectURL(last.url);
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

new Status(main, store, viewer);
new Thresholds(byId("thresholds"), store);
toolbar(store, viewer);
downloads(store, main.dataset.predict, { onFail: (error) => store.change(complained, problemFrom(error)) });
keys(store, viewer);
const samples = [...document.querySelectorAll(".sample")];
chooser({ input: byId("file"), samples, curtain: byId("curtain"), onChoose: read });
byId("again").addEventListener("click", () => read(store.get().source));
narrow.addEventListener("change", () => store.change(resized, narrow.matches));
if (models.length) learn().catch(() => null); // no card, no result: reading a film says why
store.flush();
main.dataset.ready = "";

// What can be taken away: picture, JSON and COCO as the server makes them at the current settings, and the command line
// that asks for the same.

import { download } from "./api.js";
import { byId, h } from "./dom.js";
import { curlLine, settings } from "./request.js";
import { complained, onModels } from "./state.js";

const FILES = { png: "xray-marks.png", json: "xray-marks.json", coco: "xray-marks.coco.json" };
const COPIED_MS = 2000;

export function downloads(store, address, { onFail }) {
  const buttons = [...document.querySelectorAll("[data-download]")];
  const line = byId("curl");
  const copyButton = byId("copy");
  let busy = null;

  const render = (state) => {
    const ready = state.phase === "result" && onModels(state).length > 0;
    for (const button of buttons) {
      button.disabled = !ready || busy !== null;
      button.classList.toggle("busy", button.dataset.download === busy);
    }
    const url = new URL(address, location.href).href;
    line.textContent = ready ? curlLine(url, state.source, settings(state)) : "";
    copyButton.disabled = !ready;
    byId("classes-note").hidden = !state.off.classes.length;
  };

  const save = async (format) => {
    const state = store.get();
    busy = format;
    store.change(complained, null);
    render(state);
    try {
      give(await download(address, state.source, [["format", format], ...settings(state)]), FILES[format]);
    } catch (error) {
      onFail(error);
    }
    busy = null;
    render(store.get());
  };

  for (const button of buttons) button.addEventListener("click", () => save(button.dataset.download));
  copyButton.addEventListener("click", () => copy(line, copyButton));
  store.listen(render, ({ phase, source, off, conf }) => [phase, source, off, conf]);
}

function give(blob, name) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// Where the clipboard is out of reach (no https) the line is selected, ready for Ctrl-C.
async function copy(line, button) {
  try {
    await navigator.clipboard.writeText(line.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(line);
    button.textContent = "Selected";
  }
  setTimeout(() => (button.textContent = "Copy"), COPIED_MS);
}

// The server, seen from the page. A source is what the reader chose: {name, url, file} or {name, url, sample}.

const REFUSED_FOR_NOW = 429;

export class Problem extends Error {
  constructor({ title, detail, cure = "", retry = false }) {
    super(detail);
    Object.assign(this, { title, detail, cure, retry });
  }
}

// The cards of the models that are loaded.
export async function cards(address) {
  return (await json(await send("GET", address, null))).models;
}

export async function predict(address, source, fields, { signal, onProgress }) {
  return json(await send("POST", address, await form(source, fields), { signal, onProgress }));
}

export async function download(address, source, fields) {
  return send("POST", address, await form(source, fields));
}

async function form(source, fields) {
  const made = new FormData();
  if (source.sample) made.set("sample", source.sample);
  else made.set("file", await opened(source), source.name);
  for (const [key, value] of fields) made.set(key, value);
  return made;
}

// Only reading from a file tells whether it is a folder, or has changed since it was chosen.
async function opened({ name, file }) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    const detail = `${name} is a folder, or a file that was changed or moved after it was chosen.`;
    throw new Problem({ title: "This file cannot be opened", detail, cure: "Choose the file again." });
  }
  return file;
}

// An XMLHttpRequest, because fetch does not tell how much of a film has been sent. Progress goes from 0 to 1.
function send(method, address, body, { signal, onProgress } = {}) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const request = new XMLHttpRequest();
    request.open(method, address);
    request.responseType = "blob";
    request.upload.onprogress = ({ loaded, total }) => onProgress?.(loaded / total);
    request.onload = async () => (request.status < 400 ? resolve(request.response) : reject(await problemOf(request)));
    request.onerror = () => reject(cut());
    request.onabort = () => reject(new DOMException("another film was chosen", "AbortError"));
    signal?.addEventListener("abort", () => request.abort());
    request.send(body);
  });
}

async function json(blob) {
  try {
    return JSON.parse(await blob.text());
  } catch {
    throw cut();
  }
}

function cut() {
  return new Problem({
    title: "The server did not answer",
    detail: "The connection was cut before the answer came.",
    cure: "Check that the demo is running, then try again.",
    retry: true,
  });
}

async function problemOf(request) {
  const retry = request.status >= 500 || request.status === REFUSED_FOR_NOW;
  try {
    return new Problem({ ...JSON.parse(await request.response.text()), retry });
  } catch {
    return new Problem({
      title: "The server refused the film",
      detail: `It answered ${request.status} ${request.statusText}.`.replace(" .", "."),
      cure: "Try again, or choose another film.",
      retry,
    });
  }
}

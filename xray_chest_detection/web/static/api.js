// The server, seen from the page. A source is what the reader chose: {name, url, file} or {name, url, sample}.

export class Problem extends Error {
  constructor({ title, detail, cure = "", retry = false }) {
    super(detail);
    Object.assign(this, { title, detail, cure, retry });
  }
}

export async function predict(address, source, signal) {
  const response = await send(address, source, { preview: "1" }, signal);
  try {
    return await response.json();
  } catch (error) {
    throw cut(error);
  }
}

export async function picture(address, source) {
  const response = await send(address, source, { format: "png" });
  return response.blob();
}

async function send(address, source, fields, signal) {
  const form = new FormData();
  if (source.sample) form.set("sample", source.sample);
  else form.set("file", source.file, source.name);
  for (const [key, value] of Object.entries(fields)) form.set(key, value);
  let response;
  try {
    response = await fetch(address, { method: "POST", body: form, signal });
  } catch (error) {
    throw cut(error);
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

function cut(error) {
  if (error.name === "AbortError") return error;
  return new Problem({
    title: "The server did not answer",
    detail: "The connection was cut before the answer came.",
    cure: "Check that the demo is running, then try again.",
    retry: true,
  });
}

async function problemOf(response) {
  const retry = response.status >= 500;
  try {
    return new Problem({ ...(await response.json()), retry });
  } catch {
    return new Problem({
      title: "The server refused the film",
      detail: `It answered ${response.status} ${response.statusText}.`.replace(" .", "."),
      cure: "Try again, or choose another film.",
      retry,
    });
  }
}

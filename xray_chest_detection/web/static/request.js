// The settings on the page as fields of a request, and as a command line that sends the same.

// Only what differs from what the server does by itself.
export function settings({ models, off, conf }) {
  const on = models.filter((name) => !off.models.includes(name));
  const fields = on.length < models.length ? [["models", on.join(",")]] : [];
  return [...fields, ...on.filter((name) => name in conf).map((name) => [`conf_${name}`, String(conf[name])])];
}

export function curlLine(address, source, fields) {
  const film = source.sample ? ["sample", source.sample] : ["file", `@${fileArgument(source.name)}`];
  const parts = [film, ...fields].map(([key, value]) => `-F ${quoted(`${key}=${value}`)}`);
  return ["curl", ...parts, quoted(address)].join(" ");
}

// curl itself splits a file name at these, unless it stands in double quotes.
function fileArgument(name) {
  return /[;,"\\]/.test(name) ? `"${name.replace(/[\\"]/g, "\\$&")}"` : name;
}

function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`;
}

// Every way to choose a film: the button, a drop anywhere, a paste, a sample. Each ends in onChoose(source).

export function chooser({ input, samples, curtain, onChoose }) {
  const choose = (source) => {
    for (const button of samples) button.setAttribute("aria-pressed", String(button.dataset.sample === source.sample));
    onChoose(source);
  };
  const chooseFirst = (files = []) => {
    const [file] = files;
    if (!file) return;
    const note = files.length > 1 ? `first of ${files.length} files` : "";
    choose({ name: file.name || "pasted image", note, file, url: URL.createObjectURL(file) });
  };

  input.addEventListener("change", () => {
    chooseFirst(input.files);
    input.value = ""; // the same file may be chosen again
  });
  document.addEventListener("paste", (event) => chooseFirst(event.clipboardData?.files));
  for (const button of samples) {
    button.addEventListener("click", () =>
      choose({ name: button.dataset.name, sample: button.dataset.sample, url: button.dataset.film }),
    );
  }
  dropAnywhere(curtain, chooseFirst);
}

function dropAnywhere(curtain, chooseFirst) {
  let depth = 0;
  const show = (on) => {
    depth = on ? depth : 0;
    curtain.classList.toggle("open", on);
  };
  const carriesFile = (event) => event.dataTransfer?.types.includes("Files");
  window.addEventListener("dragenter", (event) => {
    if (!carriesFile(event)) return;
    depth += 1;
    show(true);
  });
  window.addEventListener("dragleave", (event) => {
    if (carriesFile(event) && --depth <= 0) show(false);
  });
  window.addEventListener("dragover", (event) => {
    if (carriesFile(event)) event.preventDefault();
  });
  window.addEventListener("drop", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    show(false);
    chooseFirst(event.dataTransfer.files);
  });
}

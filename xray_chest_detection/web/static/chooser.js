// Every way to choose a film: the button, a drop anywhere, a paste, a sample. Each ends in onChoose(source).

export function chooser({ input, samples, curtain, onChoose }) {
  const choose = (source) => {
    for (const button of samples) button.setAttribute("aria-pressed", String(button.dataset.sample === source.sample));
    onChoose(source);
  };
  const chooseFile = (file) => {
    if (!file) return;
    const url = shownByBrowsers(file) ? URL.createObjectURL(file) : null;
    choose({ name: file.name || "pasted image", file, url });
  };

  input.addEventListener("change", () => {
    chooseFile(input.files[0]);
    input.value = ""; // the same file may be chosen again
  });
  document.addEventListener("paste", (event) => chooseFile(event.clipboardData?.files[0]));
  for (const button of samples) {
    button.addEventListener("click", () =>
      choose({ name: button.dataset.name, sample: button.dataset.sample, url: button.dataset.film }),
    );
  }
  dropAnywhere(curtain, chooseFile);
}

function dropAnywhere(curtain, chooseFile) {
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
    chooseFile(event.dataTransfer.files[0]);
  });
}

function shownByBrowsers(file) {
  return ["image/png", "image/jpeg", "image/webp", "image/bmp", "image/gif"].includes(file.type);
}

// Dark unless the reader asked for light. A classic script in the head, so that the page never flashes.
(() => {
  const root = document.documentElement;
  const remembered = () => {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null; // storage is switched off
    }
  };
  const apply = (theme) => {
    root.dataset.theme = theme;
    document.getElementById("theme")?.setAttribute("aria-pressed", String(theme === "light"));
  };
  apply(remembered() === "light" ? "light" : "dark");
  document.addEventListener("DOMContentLoaded", () => {
    apply(root.dataset.theme);
    document.getElementById("theme").addEventListener("click", () => {
      const theme = root.dataset.theme === "light" ? "dark" : "light";
      apply(theme);
      try {
        localStorage.setItem("theme", theme);
      } catch {
        // storage is switched off: the choice holds for this page only
      }
    });
  });
})();

// Applies the chosen theme before the first paint, and switches it. Who is signed in finds the
// theme of the account on <html>; others keep theirs in this browser.
(() => {
  "use strict";
  const root = document.documentElement;
  const read = () => {
    try { return localStorage.getItem("theme"); } catch { return null; }
  };
  const fixed = (theme) => theme === "dark" || theme === "light";
  // The admin reads the same key, and knows no other word for the system's theme than none.
  const keep = (theme) => {
    try {
      if (fixed(theme)) localStorage.setItem("theme", theme);
      else localStorage.removeItem("theme");
    } catch { /* private mode: this page only */ }
  };
  if (root.dataset.theme) keep(root.dataset.theme);
  else if (fixed(read())) root.dataset.theme = read();

  const current = () => (fixed(root.dataset.theme) ? root.dataset.theme
    : matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const label = (button) => {
    const next = current() === "dark" ? "light" : "dark";
    button.setAttribute("aria-label", `Theme: switch to ${next}`);
    button.title = `Switch to the ${next} theme`;
  };
  const tell = (theme) => {
    const token = document.querySelector("[name=csrfmiddlewaretoken]");
    if (!root.dataset.themeUrl || !token) return;
    const body = new URLSearchParams({ theme, csrfmiddlewaretoken: token.value });
    // Away from the network the choice holds in this browser, and the account keeps its own.
    fetch(root.dataset.themeUrl, { method: "POST", body, headers: { "HX-Request": "true" }, keepalive: true })
      .catch(() => {});
  };
  const show = () => {
    const choice = document.querySelector(`input[name=theme][value=${root.dataset.theme}]`);
    if (choice) choice.checked = true;
  };

  addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      label(button);
      button.addEventListener("click", () => {
        root.dataset.theme = current() === "dark" ? "light" : "dark";
        keep(root.dataset.theme);
        tell(root.dataset.theme);
        show();
        label(button);
      });
    }
  });
})();

// Size and contrast of the words on air, as they were chosen in this browser. Applied before the first paint.
(() => {
  "use strict";
  const CHOICES = { size: ["m", "s", "l", "xl"], contrast: ["standard", "high"] };
  const root = document.documentElement;
  const read = (name) => {
    try { return localStorage.getItem(`caption-${name}`); } catch { return null; }
  };
  const keep = (name, value) => {
    try { localStorage.setItem(`caption-${name}`, value); } catch { /* private mode: this page only */ }
  };
  const apply = (name, value) => root.setAttribute(`data-caption-${name}`, value);
  for (const [name, values] of Object.entries(CHOICES)) {
    apply(name, values.includes(read(name)) ? read(name) : values[0]);
  }

  addEventListener("DOMContentLoaded", () => {
    const panel = document.querySelector("[data-display]");
    if (!panel) return;
    panel.hidden = false;
    for (const name of Object.keys(CHOICES)) {
      const chosen = root.getAttribute(`data-caption-${name}`);
      panel.querySelector(`input[name="caption-${name}"][value="${chosen}"]`).checked = true;
    }
    panel.addEventListener("change", ({ target }) => {
      const name = target.name.replace("caption-", "");
      apply(name, target.value);
      keep(name, target.value);
    });
    const close = (back) => {
      if (!panel.open) return;
      panel.open = false;
      if (back) panel.querySelector("summary").focus();
    };
    panel.addEventListener("keydown", ({ key }) => { if (key === "Escape") close(true); });
    document.addEventListener("click", ({ target }) => { if (!panel.contains(target)) close(false); });
  });
})();

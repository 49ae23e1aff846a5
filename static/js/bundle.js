// What the browser knows of itself goes along when a trace bundle is made.
(() => {
  "use strict";
  const form = document.querySelector("form[data-facts]");
  if (!form) return;
  const facts = () => ({
    page: location.pathname,
    agent: navigator.userAgent.slice(0, 300),
    languages: [...navigator.languages].slice(0, 20),
    zone: Intl.DateTimeFormat().resolvedOptions().timeZone || "",
    theme: document.documentElement.dataset.theme
      || (matchMedia("(prefers-color-scheme: dark)").matches ? "system, dark" : "system, light"),
    online: navigator.onLine,
    visible: !document.hidden,
    window: [innerWidth, innerHeight],
    screen: [screen.width, screen.height],
    pixel_ratio: devicePixelRatio,
    seq: Number(document.getElementById("seq")?.dataset.seq || 0),
    connection: document.getElementById("connection")?.textContent.slice(0, 300) || "connected",
    clock: new Date().toISOString(),
    loaded_ms: Math.round(performance.getEntriesByType("navigation")[0]?.duration || 0),
    resources: performance.getEntriesByType("resource").length,
  });
  form.addEventListener("submit", () => { form.elements.facts.value = JSON.stringify(facts()); });
})();

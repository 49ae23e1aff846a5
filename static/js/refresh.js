// Parts of a page that are fetched anew after something happened: at most once a second, not while
// the page is hidden, and without closing what is open or taking the focus away.
(() => {
  "use strict";
  const EVERY_MS = 1000;
  const two = (n) => String(n).padStart(2, "0");
  let wanted = false;
  let last = 0;
  let timer = 0;
  let kept = null;

  const go = () => {
    timer = 0;
    if (!wanted || document.hidden) return;
    wanted = false;
    last = Date.now();
    for (const part of document.querySelectorAll("[data-refresh]")) htmx.trigger(part, "smnb:refresh");
  };
  const plan = () => {
    if (!timer && !document.hidden) timer = setTimeout(go, Math.max(0, last + EVERY_MS - Date.now()));
  };

  document.addEventListener("smnb:frame", (event) => {
    if (event.detail.seq === null) return; // words that stream in change no figure
    wanted = true;
    plan();
  });
  document.addEventListener("visibilitychange", () => { if (wanted) plan(); });

  // What has the focus is found again by its id, or by its place in the nearest thing with one.
  const FOCUSABLE = "a[href], button, summary, input, select, [tabindex]";
  const focusIn = (part) => {
    const at = document.activeElement;
    if (!part.contains(at)) return null;
    const home = at.closest("[id]");
    return { id: home.id, place: [...home.querySelectorAll(FOCUSABLE)].indexOf(at) };
  };
  const refocus = ({ id, place }) => {
    const home = document.getElementById(id);
    const found = place < 0 ? home : home?.querySelectorAll(FOCUSABLE)[place];
    found?.focus({ preventScroll: true });
  };

  document.addEventListener("htmx:beforeSwap", (event) => {
    const part = event.detail.target;
    if (!part.matches?.("[data-refresh]")) return;
    kept = {
      focus: focusIn(part),
      open: [...part.querySelectorAll("details[open][id]")].map((each) => each.id),
      scrolled: [...part.querySelectorAll("[data-keep-scroll][id]")]
        .map((each) => [each.id, each.scrollTop, each.scrollLeft]),
    };
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    const part = event.detail.target;
    if (!kept || !part.matches?.("[data-refresh]")) return;
    for (const id of kept.open) document.getElementById(id)?.setAttribute("open", "");
    for (const [id, top, left] of kept.scrolled) document.getElementById(id)?.scrollTo(left, top);
    if (kept.focus) refocus(kept.focus);
    kept = null;
    localise();
  });

  // Moments below a chart, in the reader's own time zone.
  function localise() {
    for (const text of document.querySelectorAll("text[data-moment]:not([data-local])")) {
      const at = new Date(text.dataset.moment);
      if (Number.isNaN(at.getTime())) continue;
      const day = text.textContent.includes(" ") ? `${at.toLocaleDateString("en-GB", { weekday: "short" })} ` : "";
      text.dataset.local = "";
      text.textContent = `${day}${two(at.getHours())}:${two(at.getMinutes())}`;
    }
  }
  localise();
})();

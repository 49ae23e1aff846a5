// The watch page: full screen, words that follow the voice, and the broadcast that has just ended.
(() => {
  "use strict";
  const stage = document.querySelector(".stage");
  const last = document.getElementById("last");
  const feed = document.getElementById("feed");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const BETWEEN_MS = 4000;
  const SPREAD_MS = 20000; // so that the pages of a large audience do not all ask at once

  const full = document.querySelector("[data-full-screen]");
  if (full && document.fullscreenEnabled) {
    full.hidden = false;
    full.addEventListener("click", () => {
      if (document.fullscreenElement) document.exitFullscreen();
      else stage.requestFullscreen().catch(() => { full.hidden = true; });
    });
  }

  // Where the words have less room than they need, the line that is spoken stays in the middle.
  const follow = () => {
    const text = stage.querySelector("[data-reveal]");
    if (!text) return;
    const short = text.scrollHeight <= text.clientHeight + 1;
    if (short) text.removeAttribute("tabindex");
    else text.tabIndex = 0; // so that the keyboard can scroll it
    if (short || text.matches(":hover, :focus")) return;
    const from = Date.parse(text.dataset.airedAt);
    const to = Date.parse(text.dataset.finishAt);
    const share = window.smnbSound?.share()
      ?? (to > from ? Math.min(1, Math.max(0, (Date.now() - from) / (to - from))) : 0);
    const top = share * text.scrollHeight - text.clientHeight / 2;
    text.scrollTo({ top, behavior: still.matches ? "auto" : "smooth" });
  };
  setInterval(follow, 1000);

  const live = () => document.querySelector("#state [data-state]")?.dataset.state === "live";
  const began = () => Date.parse(document.querySelector(".air-clock [data-since]")?.dataset.since ?? "");
  // Stories of earlier broadcasts follow those of this one under a line of their own.
  const divide = () => {
    const since = live() ? began() : NaN;
    let before = false;
    for (const item of feed?.children ?? []) {
      const time = item.querySelector(".aired-when time");
      const earlier = Boolean(time) && Date.parse(time.dateTime) < since;
      item.toggleAttribute("data-earlier", earlier && !before);
      before ||= earlier;
    }
  };

  // A broadcast that is at rest has its title, and can be played.
  const rests = () => document.querySelector("#state [data-state]")?.dataset.state === "idle";
  let rested = rests();
  // Between two stories the stage has the height of the first for a moment, so that nothing jumps.
  let height = 0;
  let letGo = 0;
  const hold = () => {
    const none = Boolean(stage.querySelector(".current-none"));
    clearTimeout(letGo);
    stage.style.minHeight = none && live() && height ? `${height}px` : "";
    if (none) letGo = setTimeout(() => { stage.style.minHeight = ""; }, BETWEEN_MS);
    else height = stage.offsetHeight;
  };
  hold();
  const notice = () => {
    hold();
    if (rests() && !rested && last) {
      setTimeout(() => { if (rests()) htmx.trigger(last, "smnb:off-air"); }, Math.random() * SPREAD_MS);
    }
    rested = rests();
    divide();
    follow();
  };
  divide();
  document.addEventListener("smnb:frame", notice);
})();

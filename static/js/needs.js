// What needs the owner: the list in the bar, its number in the tab's title, and a sound.
(() => {
  "use strict";
  const list = document.getElementById("needs");
  const said = document.getElementById("needs-said");
  if (!list || !said) return;
  const EVERY_MS = 2000;
  const SHOWN_MS = 6000;
  const LAST_SOUND = "smnb-last-sound";
  const title = document.title;
  let known = null;
  let sound = null;
  let timer = 0;
  let silence = 0;

  const say = (sentence) => {
    said.textContent = sentence;
    clearTimeout(silence);
    silence = setTimeout(() => { said.textContent = ""; }, SHOWN_MS);
  };

  // A browser plays sound only after the user has touched the page.
  const allowSound = () => {
    if (list.querySelector("[data-sound]")) sound ??= new AudioContext();
  };
  for (const event of ["pointerdown", "keydown"]) document.addEventListener(event, allowSound);
  const ring = () => {
    const last = Number(localStorage.getItem(LAST_SOUND) || 0);
    // Each open tab notices the same need.
    if (!sound || !list.querySelector("[data-sound]") || Date.now() - last < 3000) return;
    localStorage.setItem(LAST_SOUND, String(Date.now()));
    for (const [at, hertz] of [[0, 660], [0.18, 880]]) {
      const tone = new OscillatorNode(sound, { frequency: hertz });
      const level = new GainNode(sound, { gain: 0 });
      const from = sound.currentTime + at;
      level.gain.setTargetAtTime(0.15, from, 0.01);
      level.gain.setTargetAtTime(0, from + 0.12, 0.03);
      tone.connect(level).connect(sound.destination);
      tone.start(from);
      tone.stop(from + 0.4);
    }
    list.dataset.rang = String(Number(list.dataset.rang || 0) + 1);
  };

  const read = () => {
    if (!list.querySelector("[data-needs]")) return;
    const needs = [...list.querySelectorAll(".need")];
    const number = needs.length ? String(needs.length) : "";
    for (const count of document.querySelectorAll("[data-needs-count]")) count.textContent = number;
    document.title = number ? `(${number}) ${title}` : title;
    const fresh = known && needs.find((need) => !known.has(need.dataset.key));
    known = new Set(needs.map((need) => need.dataset.key));
    if (!fresh) return;
    say(`Needs you: ${fresh.querySelector(".need-what").textContent.trim()}`);
    ring();
  };
  const refresh = () => {
    clearTimeout(timer);
    timer = 0;
    htmx.trigger(list, "smnb:needs");
  };

  read();
  let shown = "";
  list.addEventListener("htmx:beforeSwap", (event) => {
    const answer = event.detail.xhr.responseText;
    // Swapped only when something changed, so that neither the focus nor a scroll position moves.
    if (answer === shown) event.detail.shouldSwap = false;
    shown = answer;
  });
  list.addEventListener("htmx:afterSwap", read);
  // A button that was clicked by its key, in a list that is closed, names where it posts too.
  document.addEventListener("htmx:configRequest", ({ detail }) => {
    const button = detail.elt.id === "need" && detail.triggeringEvent?.submitter;
    if (!button) return;
    detail.path = button.getAttribute("formaction");
    detail.parameters[button.name] = button.value;
  });
  document.addEventListener("smnb:frame", ({ detail: { seq } }) => {
    if (seq !== null && !document.hidden) timer ||= setTimeout(refresh, EVERY_MS);
  });
  document.addEventListener("htmx:afterRequest", ({ detail: { elt, successful, requestConfig } }) => {
    if (requestConfig.verb !== "post") return;
    const button = requestConfig.triggeringEvent?.submitter;
    if (elt.id === "need" && successful && button) {
      const what = button.closest(".need")?.querySelector(".need-what").textContent.trim() ?? "";
      say(`${button.textContent.trim()}: done. ${what}`);
    }
    refresh();
  });
})();

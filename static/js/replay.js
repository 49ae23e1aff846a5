// The controls of a replay. Frames come through live.js; here is when, how fast, and the time of then.
(() => {
  "use strict";
  const main = document.querySelector("[data-replay]");
  const stage = document.getElementById("stage");
  const blank = stage.innerHTML;
  const [toggle, again, speed, range, status, shown] = ["toggle", "again", "speed", "range", "status", "time"]
    .map((name) => document.getElementById(`replay-${name}`));
  const links = [...document.querySelectorAll("a[data-at]")];
  const began = Date.parse(main.dataset.began);
  const length = Number(main.dataset.length);
  const first = Number(main.dataset.first);
  const KEYS_REST_MS = 300;
  let clock = { at: Number(main.dataset.at), until: Number(main.dataset.at), speed: 1, heard: 0 };
  let mark = null;
  let playing = true;
  let over = false;
  let seeking = false;
  let timer = 0;

  const place = () => {
    const passed = playing ? (performance.now() - clock.heard) * clock.speed : 0;
    return Math.min(clock.until, clock.at + passed);
  };
  window.smnbReplay = { now: () => began + place(), told: () => playing && clock.speed === 1 };

  const two = (n) => String(n).padStart(2, "0");
  const spell = (ms) => {
    const all = Math.floor(ms / 1000);
    return `${Math.floor(all / 3600)}:${two(Math.floor(all / 60) % 60)}:${two(all % 60)}`;
  };
  const say = (sentence) => { if (status.textContent !== sentence) status.textContent = sentence; };

  const show = () => {
    const at = seeking ? Number(range.value) : place();
    if (!seeking) range.value = at;
    range.setAttribute("aria-valuetext", `${spell(at)} of ${spell(length)}`);
    shown.textContent = `${spell(at)} of ${spell(length)}`;
    const word = playing ? "Pause" : over ? "Play again" : "Play";
    if (toggle.dataset.word !== word) {
      toggle.dataset.word = word;
      toggle.querySelector("[data-label]").textContent = word;
    }
    const current = links.findLast((link) => Number(link.dataset.at) <= at + 1);
    for (const link of links) {
      if (link === current) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };

  const aim = (path, seq) => document.dispatchEvent(new CustomEvent("smnb:aim", { detail: { path, seq } }));

  const rest = () => {
    const at = place();
    playing = false;
    clock = { ...clock, at, until: at };
    aim(null);
    show();
  };

  // Playing on keeps what the page shows; elsewhere it is made anew from what had happened by then.
  const play = (at, anew) => {
    if (anew) stage.innerHTML = blank;
    playing = true;
    over = false;
    clock = { at, until: at, speed: Number(speed.value), heard: performance.now() };
    say("");
    aim(`${main.dataset.replay}?speed=${speed.value}&at=${Math.floor(at)}`, anew ? 0 : undefined);
    show();
  };

  document.addEventListener("smnb:frame", () => {
    const next = document.getElementById("replay-clock");
    if (next === mark || !("at" in next.dataset)) return;
    mark = next;
    const { at, until, cut } = next.dataset;
    clock = { at: Number(at), until: Number(until), speed: Number(next.dataset.speed), heard: performance.now() };
    if (Number(cut)) say(`${spell(cut * 1000)} of silence is left out.`);
    if ("over" in next.dataset) {
      rest();
      over = true;
      say("The broadcast is over.");
    }
    show();
  });

  toggle.addEventListener("click", () => {
    if (playing) rest();
    else play(over ? first : place(), over);
  });
  again.addEventListener("click", () => play(first, true));
  speed.addEventListener("change", () => { if (playing) play(place(), false); });
  range.addEventListener("input", () => {
    clearTimeout(timer);
    seeking = true;
    show();
  });
  range.addEventListener("change", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      seeking = false;
      play(Number(range.value), true);
    }, KEYS_REST_MS);
  });
  for (const link of links) {
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      play(Number(link.dataset.at), true);
    });
  }

  show();
  setInterval(show, 250);
})();

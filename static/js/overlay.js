// The overlay: captions at the pace of speech, and each story's sound where there is one.
(() => {
  "use strict";
  const WORDS = 11;
  const root = document.querySelector(".overlay");
  const texts = new WeakMap();

  const wordsOf = (caption) => {
    if (!texts.has(caption)) texts.set(caption, caption.textContent.trim().split(/\s+/));
    return texts.get(caption);
  };
  const share = (from, to) => (to > from ? Math.min(1, Math.max(0, (Date.now() - from) / (to - from))) : 1);

  // A few words at a time, changed as a whole: moving text cannot be read over a picture.
  const caption = () => {
    for (const lower of document.querySelectorAll(".lower")) {
      const line = lower.querySelector("[data-caption]");
      const words = wordsOf(line);
      const at = share(Date.parse(lower.dataset.airedAt), Date.parse(lower.dataset.finishAt));
      const start = Math.floor(Math.min(words.length - 1, at * words.length) / WORDS) * WORDS;
      const text = words.slice(start, start + WORDS).join(" ");
      if (line.textContent !== text) line.textContent = text;
      line.classList.add("shown");
    }
  };
  caption();
  setInterval(caption, 150);
  document.addEventListener("smnb:frame", caption);

  if (root.dataset.sound !== "1") return;
  const audio = new Audio();
  let playing = "";
  const play = () => {
    const sound = document.getElementById("sound");
    const lower = document.querySelector(".lower");
    if (!lower) { audio.pause(); playing = ""; return; }
    if (!sound?.dataset.src || sound.dataset.src === playing) return;
    playing = sound.dataset.src;
    const late = Math.max(0, (Date.now() - Date.parse(lower.dataset.airedAt)) / 1000);
    if (late > Number(sound.dataset.seconds)) return;
    audio.src = playing;
    audio.addEventListener("loadedmetadata", () => {
      audio.currentTime = late;
      audio.play().catch(() => { playing = ""; }); // a browser may want a click first; streaming software does not
    }, { once: true });
  };
  play();
  document.addEventListener("smnb:frame", play);
})();

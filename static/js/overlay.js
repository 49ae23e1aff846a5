// The overlay: captions at the pace of speech, and each story's sound where there is one.
(() => {
  "use strict";
  const WORDS = 11;
  const PATIENCE_MS = 15000;
  const root = document.querySelector(".overlay");
  const connection = document.getElementById("connection");
  const texts = new WeakMap();
  let heard = Date.now();

  // Chinese, Japanese, Thai, Lao, Burmese and Khmer have no spaces between words.
  const unspaced = /[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]/;
  const segmenter = window.Intl?.Segmenter && new Intl.Segmenter(undefined, { granularity: "word" });

  // Each word with what follows it up to the next one.
  const split = (text) => {
    if (!segmenter || !unspaced.test(text)) return text.match(/\S+\s*/g) ?? [""];
    const words = [];
    for (const part of segmenter.segment(text)) {
      if (part.isWordLike || !words.length) words.push(part.segment);
      else words[words.length - 1] += part.segment;
    }
    return words;
  };
  const wordsOf = (caption) => {
    if (!texts.has(caption)) texts.set(caption, split(caption.textContent.trim()));
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
      const text = words.slice(start, start + WORDS).join("").trim();
      if (line.textContent !== text) line.textContent = text;
      line.classList.add("shown");
    }
  };

  // A studio that is gone, or a link that was withdrawn, must not leave its last story in the picture.
  const doubt = () => {
    const now = Date.now();
    if (!connection.textContent) heard = now;
    const lower = document.querySelector(".lower");
    const over = !lower || now > Date.parse(lower.dataset.finishAt);
    root.toggleAttribute("data-lost", over && now - heard > PATIENCE_MS);
  };

  // The clock of the computer that shows the picture.
  const clock = document.querySelector(".overlay-clock");
  const time = () => {
    const now = new Date();
    const text = `${String(now.getHours()).padStart(2, "0")}:${String(now.getMinutes()).padStart(2, "0")}`;
    if (clock.textContent !== text) clock.textContent = text;
  };
  if (root.dataset.accent === "custom") root.style.setProperty("--accent", `#${root.dataset.color}`);

  const show = () => { caption(); doubt(); time(); };
  show();
  setInterval(show, 150);
  document.addEventListener("smnb:frame", show);

  if (root.dataset.sound !== "1") return;
  const audio = new Audio();
  const CATCH_UP = 1.25; // the fastest that a voice still sounds natural
  let playing = "";
  let identified = 0;
  let identifying = 0; // when the station identification began, while it is heard
  const story = () => {
    audio.src = playing;
  };
  const play = () => {
    const src = document.getElementById("sound")?.dataset.src ?? "";
    if (src === playing) return;
    playing = src;
    if (!src) {
      identifying = 0;
      audio.pause(); // also of a story that was corrected: it must not go on as it was
    } else if (identified !== Math.floor(Date.now() / 3600000)) {
      // Before the first story, and before the first one of each hour.
      identified = Math.floor(Date.now() / 3600000);
      identifying = Date.now();
      audio.src = root.dataset.identification;
    } else if (!identifying) story();
  };
  const afterIdentification = () => {
    if (!identifying || !playing) return;
    story();
  };
  audio.addEventListener("ended", afterIdentification);
  audio.addEventListener("error", afterIdentification);
  audio.addEventListener("loadedmetadata", () => {
    const sound = document.getElementById("sound");
    const lower = document.querySelector(".lower");
    const identification = audio.getAttribute("src") === root.dataset.identification;
    if (!identification && (!sound || !lower)) return;
    if (!identification) {
      // The identification took time of the story: the voice continues where it would have been
      // without it, and is a little faster until the story ends.
      const began = identifying || Date.now();
      identifying = 0;
      const late = Math.max(0, (began - Date.parse(lower.dataset.airedAt)) / 1000);
      if (late > Number(sound.dataset.seconds)) return;
      audio.currentTime = late;
      const left = (Date.parse(lower.dataset.finishAt) - Date.now()) / 1000;
      const speed = left > 0 ? (Number(sound.dataset.seconds) - late) / left : CATCH_UP;
      audio.playbackRate = Math.min(CATCH_UP, Math.max(1, speed));
    }
    // A browser may want a click first; streaming software does not.
    audio.play().catch((error) => {
      if (error.name !== "NotAllowedError") return;
      playing = "";
      identified = identifying = 0;
    });
  });
  play();
  document.addEventListener("smnb:frame", play);
})();

// The overlay: captions at the pace of speech, or with the voice where the overlay plays it.
(() => {
  "use strict";
  const WORDS = 11; // the most in a caption
  const ENOUGH = 6; // for one that ends with its sentence
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
  // The words, and of each the place of the first one of its caption.
  const wordsOf = (caption) => {
    if (texts.has(caption)) return texts.get(caption);
    const words = split(caption.textContent.trim());
    let first = 0;
    const firsts = words.map((word, at) => {
      const ended = at > 0 && /[.!?\u2026\u3002\uff01\uff1f]["'\u201d\u2019\u00bb)]*\s*$/.test(words[at - 1]);
      if (at - first >= (ended ? ENOUGH : WORDS)) first = at;
      return first;
    });
    texts.set(caption, { words, firsts });
    return texts.get(caption);
  };
  const share = (from, to) => (to > from ? Math.min(1, Math.max(0, (Date.now() - from) / (to - from))) : 1);

  // A few words at a time, changed as a whole: moving text cannot be read over a picture.
  const caption = () => {
    for (const lower of document.querySelectorAll(".lower")) {
      const line = lower.querySelector("[data-caption]");
      const { words, firsts } = wordsOf(line);
      const heard = window.smnbSound?.share();
      const at = heard ?? share(Date.parse(lower.dataset.airedAt), Date.parse(lower.dataset.finishAt));
      const start = firsts[Math.floor(Math.min(words.length - 1, at * words.length))];
      const text = words.filter((_, place) => firsts[place] === start).join("").trim();
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
})();

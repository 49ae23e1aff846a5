// Words on air brighten as they are spoken: with the voice while the page plays it, else at an even pace from
// data-aired-at to data-finish-at.
// The text stays whole in the page; only its colour changes, through the CSS Highlight API.
(() => {
  "use strict";
  // A replay has a time of its own.
  const present = () => window.smnbReplay?.now() ?? Date.now();
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const highlight = window.Highlight && CSS.highlights ? new Highlight() : null;
  if (highlight) CSS.highlights.set("unspoken", highlight);
  const words = new WeakMap();

  const share = (element) => {
    const from = Date.parse(element.dataset.airedAt);
    const to = Date.parse(element.dataset.finishAt);
    if (!(to > from)) return 1;
    return Math.min(1, Math.max(0, (present() - from) / (to - from)));
  };

  // Chinese, Japanese, Thai, Lao, Burmese and Khmer have no spaces between words.
  const unspaced = /[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]/;
  const segmenter = window.Intl?.Segmenter && new Intl.Segmenter(undefined, { granularity: "word" });

  const startsOf = (text) => {
    if (!segmenter || !unspaced.test(text)) return [...text.matchAll(/\S+/g)].map((match) => match.index);
    return [...segmenter.segment(text)].filter((part) => part.isWordLike).map((part) => part.index);
  };

  const wordsOf = (element) => {
    if (words.has(element)) return words.get(element);
    const found = [];
    let letters = 0; // before the word, as the voice is followed by letters
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const text = walker.currentNode.data;
      const starts = startsOf(text);
      letters += text.slice(0, starts[0]).replace(/\s/g, "").length;
      starts.forEach((start, at) => {
        found.push({ node: walker.currentNode, start, letters });
        letters += text.slice(start, starts[at + 1]).replace(/\s/g, "").length;
      });
    }
    words.set(element, found);
    return found;
  };

  const unspoken = (element) => {
    const all = wordsOf(element);
    const heard = window.smnbSound?.share();
    const whole = element.textContent.replace(/\s/g, "").length;
    const next = heard == null
      ? all[Math.floor(share(element) * all.length)]
      // The word that is being said is bright.
      : all.find(({ letters }) => letters > 0 && letters >= heard * whole);
    if (!next) return null;
    const range = new Range();
    range.setStart(next.node, next.start);
    range.setEnd(element, element.childNodes.length);
    return range;
  };

  const show = () => {
    for (const bar of document.querySelectorAll("[data-progress]")) {
      bar.value = Math.round(share(bar) * bar.max);
    }
    if (!highlight) return;
    highlight.clear();
    if (still.matches) return;
    for (const element of document.querySelectorAll("[data-reveal]")) {
      const range = unspoken(element);
      if (range) highlight.add(range);
    }
  };

  show();
  setInterval(show, 150);
  document.addEventListener("smnb:frame", show);
})();

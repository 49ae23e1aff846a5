// The ticker moves as one line: a headline that has left the picture comes again behind the last.
(() => {
  "use strict";
  const line = document.getElementById("ticker");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const SHARE = 0.05; // of the picture's width in a second
  let parts = [];
  let base = 0;
  let round = 0;
  let gone = 0;
  let before = 0;

  // A new headline stands in front and pushes the others on: the line is moved back by as much.
  const measure = () => {
    const gap = parseFloat(getComputedStyle(line).columnGap) || 0;
    const known = parts.find((part) => part.item.isConnected);
    base = line.firstElementChild?.offsetLeft ?? 0;
    parts = [...line.children].map((item) => (
      { item, left: item.offsetLeft - base, width: item.offsetWidth + gap }
    ));
    gone += (parts.find((part) => part.item === known?.item)?.left ?? 0) - (known?.left ?? 0);
    const whole = parts.reduce((sum, part) => sum + part.width, 0);
    const widest = Math.max(0, ...parts.map((part) => part.width));
    const fits = whole - gap + 2 * base <= line.clientWidth;
    // In a sidebar the headlines are a list, which does not move.
    const list = getComputedStyle(line).display === "grid";
    round = fits || list ? 0 : Math.max(whole, line.clientWidth + widest);
  };

  const place = () => {
    for (const { item, left, width } of parts) {
      const end = base + left + width;
      const at = round ? ((((end - gone) % round) + round) % round) - end : 0;
      item.style.transform = at ? `translateX(${at.toFixed(1)}px)` : "";
    }
  };

  const roll = (now) => {
    requestAnimationFrame(roll);
    const seconds = Math.min(1, (now - before) / 1000);
    before = now;
    if (still.matches || !round) gone = 0;
    else gone = (gone + seconds * SHARE * line.clientWidth) % round;
    place();
  };

  measure();
  new ResizeObserver(measure).observe(line);
  document.addEventListener("smnb:frame", () => { measure(); place(); });
  requestAnimationFrame(roll);
})();

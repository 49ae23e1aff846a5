// A chapter of an episode plays in the page's player, and the one that plays is marked and named.
(() => {
  "use strict";
  const player = document.querySelector("[data-episode]");
  const headline = document.querySelector("[data-now]");
  const chapters = [...document.querySelectorAll("[data-begins]")];
  if (!player || !chapters.length) return;
  let shown = null;
  const begins = (chapter) => Number(chapter.dataset.begins);

  for (const chapter of chapters) {
    chapter.addEventListener("click", (event) => {
      event.preventDefault();
      player.currentTime = begins(chapter);
      player.play().catch(() => { /* the controls of the player say why */ });
    });
  }
  player.addEventListener("timeupdate", () => {
    const current = chapters.findLast((chapter) => begins(chapter) <= player.currentTime + 0.1);
    for (const chapter of chapters) {
      if (chapter === current) chapter.setAttribute("aria-current", "true");
      else chapter.removeAttribute("aria-current");
    }
    if (!current || current === shown) return;
    shown = current;
    const story = current.closest("article");
    headline.textContent = story.querySelector("h3").textContent;
    document.querySelector("[data-art]").src = story.querySelector("img").src;
  });
})();

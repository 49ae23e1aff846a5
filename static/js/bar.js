// On a narrow screen the activity bar scrolls: the area one is in is brought into view.
(() => {
  "use strict";
  const current = document.querySelector(".bar-areas [aria-current]");
  if (current && matchMedia("(max-width: 48rem)").matches) {
    current.scrollIntoView({ inline: "center", block: "nearest", behavior: "instant" });
  }
})();

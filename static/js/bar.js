// On a narrow screen the activity bar and the tabs of a session scroll: what is open comes into view.
(() => {
  "use strict";
  const tab = document.querySelector(".tabs [aria-current]");
  const tabs = tab?.closest(".tabs");
  if (tabs) tabs.scrollLeft = tab.offsetLeft - (tabs.clientWidth - tab.offsetWidth) / 2;
  const current = document.querySelector(".bar-areas [aria-current]");
  if (current && matchMedia("(max-width: 48rem)").matches) {
    current.scrollIntoView({ inline: "center", block: "nearest", behavior: "instant" });
  }
})();

// Escape closes what a button of the page has opened, and a click elsewhere closes a list.
(() => {
  "use strict";
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    const open = event.target.closest(":is(.switcher, .bar-needs, .rename, .break-in)[open]");
    if (!open) return;
    open.open = false;
    open.querySelector("summary").focus();
  });
  document.addEventListener("click", (event) => {
    for (const list of document.querySelectorAll(":is(.switcher, .bar-needs, .pull-down)[open]")) {
      if (!list.contains(event.target)) list.open = false;
    }
  });
})();

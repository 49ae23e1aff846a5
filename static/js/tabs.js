// The tabs of a session's page: anchors of one page, so that forms keep what was typed in them.
(() => {
  "use strict";
  const links = [...document.querySelectorAll('.tabs a[href*="#tab-"]')];
  const mark = () => {
    let target = null;
    try { target = document.getElementById(decodeURIComponent(location.hash.slice(1))); } catch { /* no id */ }
    const panel = target?.closest(".tab-panel") ?? document.querySelector(".tab-panel[data-open]");
    for (const link of links) {
      if (link.hash === `#${panel.id}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    links.find((link) => link.hasAttribute("aria-current"))?.scrollIntoView({ block: "nearest", inline: "nearest" });
  };
  addEventListener("hashchange", mark);
  mark();
})();

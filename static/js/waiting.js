// While nothing is on air, the watch page asks now and then why, and when that changes.
(() => {
  "use strict";
  const box = document.getElementById("waiting");
  const onair = document.getElementById("onair");
  const REST_MS = 30000;
  let timer = 0;
  const nothing = () => Boolean(onair.querySelector(".current-none"));
  // At different moments, as the pages of an audience get the same frame at once.
  const plan = (ms) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (!nothing()) return;
      if (!document.hidden) box.dispatchEvent(new Event("smnb:waiting"));
      plan(REST_MS);
    }, ms * (1 + Math.random() / 2));
  };
  document.addEventListener("smnb:frame", () => plan(4000));
  plan(REST_MS);
})();

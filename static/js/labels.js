// In the list of stories, a label says how a story was made only where that is not the usual way, which the
// list says once. Stories that arrive live come with their label.
(() => {
  "use strict";
  const note = document.querySelector("[data-usual]");
  if (!note) return;
  const hide = () => {
    for (const label of document.querySelectorAll("#feed .ai-label")) {
      label.hidden = label.textContent === note.dataset.usual;
    }
  };
  document.addEventListener("smnb:frame", hide);
  document.addEventListener("htmx:afterSettle", hide);
  hide();
})();

// The drafting page: keywords are dragged between boards, and what is ticked is named in the form.
// Both only send the forms that are there; without this script their buttons do the same.
(() => {
  "use strict";
  const KEYWORD = "text/x-smnb-keyword";
  const boards = document.getElementById("boards");
  const chosen = document.querySelector("[data-chosen]");
  if (!boards || !chosen) return;

  const name = () => {
    const ticked = [...boards.querySelectorAll('[name="use"]:checked')].map((box) => box.value);
    chosen.textContent = ticked.length ? `Ticked: ${ticked.join(", ")}` : "";
  };
  const ready = () => {
    for (const item of boards.querySelectorAll("[data-keyword]")) item.draggable = true;
    name();
  };
  const clean = () => {
    for (const each of boards.querySelectorAll(".drop-here, .dragged")) {
      each.classList.remove("drop-here", "dragged");
    }
  };
  const over = (event) => event.dataTransfer.types.includes(KEYWORD) && event.target.closest("[data-board]");

  boards.addEventListener("change", name);
  boards.addEventListener("dragstart", (event) => {
    const item = event.target.closest?.("[data-keyword]");
    if (!item) return;
    item.classList.add("dragged");
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData(KEYWORD, item.dataset.keyword);
  });
  boards.addEventListener("dragover", (event) => {
    const board = over(event);
    if (!board) return;
    event.preventDefault();
    boards.querySelector(".drop-here")?.classList.remove("drop-here");
    board.classList.add("drop-here");
  });
  boards.addEventListener("drop", (event) => {
    const board = over(event);
    if (!board) return;
    event.preventDefault();
    const key = event.dataTransfer.getData(KEYWORD);
    const select = boards.querySelector(`[data-keyword="${CSS.escape(key)}"] select`);
    clean();
    if (!select || select.value === board.dataset.board) return;
    select.value = board.dataset.board;
    select.form.requestSubmit();
  });
  addEventListener("dragend", clean);
  document.addEventListener("htmx:afterSettle", ready);
  ready();
})();

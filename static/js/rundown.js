// The rundown by drag and by keyboard; what is let go sends the same form as the buttons do.
(() => {
  "use strict";
  const list = document.querySelector("[data-rundown]");
  const form = document.getElementById("rearrange");
  if (!list || !form) return;
  const MARKS = ["drop-before", "drop-after"];
  const POST = "text/x-smnb-post";
  let moved = null;

  const waiting = (node) => node?.closest?.('.post[data-state="queued"]');
  const clean = () => {
    for (const item of list.querySelectorAll(".drop-before, .drop-after, .dragged")) {
      item.classList.remove(...MARKS, "dragged");
    }
  };
  const allow = () => {
    for (const item of list.querySelectorAll('.post[data-state="queued"]')) item.draggable = true;
  };
  const send = (verb) => {
    const data = Object.fromEntries(new FormData(form));
    const values = { ...data, do: verb };
    // Without a connection live.js says so.
    htmx.ajax("POST", form.action, { source: form, target: list, swap: "innerHTML", values }).catch(() => {});
  };
  const side = (item, event) => {
    const box = item.getBoundingClientRect();
    return event.clientY < box.top + box.height / 2 ? "before" : "after";
  };

  list.addEventListener("dragstart", (event) => {
    const item = waiting(event.target);
    if (!item) return;
    item.classList.add("dragged");
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData(POST, item.dataset.post);
    event.dataTransfer.setData("text/plain", item.querySelector(".post-title").textContent);
  });
  list.addEventListener("dragover", (event) => {
    const item = waiting(event.target);
    if (!item || !event.dataTransfer.types.includes(POST)) return;
    event.preventDefault();
    list.querySelector(".drop-before, .drop-after")?.classList.remove(...MARKS);
    item.classList.add(`drop-${side(item, event)}`);
  });
  // The list may have been drawn anew meanwhile, and then no dragend is heard: the drag itself
  // carries the id.
  list.addEventListener("drop", (event) => {
    const item = waiting(event.target);
    const post = event.dataTransfer.getData(POST);
    if (!post || !item) return;
    event.preventDefault();
    clean();
    if (post !== item.dataset.post) send(`move ${post} ${side(item, event)} ${item.dataset.post}`);
  });
  addEventListener("dragend", clean);

  list.addEventListener("keydown", (event) => {
    const way = { ArrowUp: "up", ArrowDown: "down" }[event.key];
    const item = waiting(event.target);
    if (!event.altKey || !way || !item) return;
    event.preventDefault();
    const button = item.querySelector(`[data-move="${way}"]`);
    if (button.disabled) return;
    button.focus();
    button.click();
  });

  // Sent by hand: htmx would forget which button was pressed while it waits for an earlier answer.
  list.addEventListener("click", (event) => {
    const button = event.target.closest('button[form="rearrange"]');
    if (!button) return;
    event.preventDefault();
    send(button.value);
  });

  // At either end the button that moved a post is disabled, and the focus would be lost with it.
  list.addEventListener("click", (event) => {
    moved = event.target.closest("[data-move]") && waiting(event.target).dataset.post;
  });
  addEventListener("pointerdown", () => { moved = null; });
  const refocus = () => {
    if (!moved || document.activeElement !== document.body) return;
    document.querySelector(`#post-${moved} .tools > button:enabled`)?.focus();
    moved = null;
  };

  // What is open stays open when the list is drawn again.
  const opened = new Set();
  list.addEventListener("toggle", (event) => {
    const { id } = event.target.closest(".post");
    if (event.target.open) opened.add(id);
    else if (event.target.isConnected) opened.delete(id);
  }, true);
  const reopen = () => {
    for (const id of opened) {
      const more = document.querySelector(`#${id} .post-more`);
      if (more) more.open = true;
    }
  };
  for (const name of ["smnb:frame", "htmx:afterSwap"]) document.addEventListener(name, reopen);

  allow();
  for (const name of ["smnb:frame", "htmx:afterSwap"]) document.addEventListener(name, refocus);
  document.addEventListener("smnb:frame", allow);
  document.addEventListener("htmx:afterSwap", allow);

  // Who reads older stories wants none taken away at the end of the feed while new ones come.
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.elt.closest?.("#older")) document.getElementById("feed")?.removeAttribute("data-max");
  });
})();

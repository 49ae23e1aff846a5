// The desk: the monitor's picture fits its box, what airs next is named, panes are remembered, and
// the focus stays with the buttons of the run.
(() => {
  "use strict";
  const PICTURE = 1280;
  const monitor = document.querySelector("[data-monitor]");
  const coming = document.querySelector("[data-coming]");
  const panes = document.querySelector(".panes");
  if (!monitor || !coming || !panes) return;

  // The frame is laid out as a television picture and scaled, so that lines break as they do on air.
  new ResizeObserver(([entry]) => {
    monitor.style.setProperty("--scale", entry.contentRect.width / PICTURE);
  }).observe(monitor);

  // After the page, which it would hold up.
  const frame = monitor.querySelector("iframe");
  const show = () => { frame.src = frame.dataset.src; };
  if (document.readyState === "complete") show();
  else addEventListener("load", show, { once: true });

  const name = () => {
    const next = document.querySelectorAll('#turns-first .turn-title, #turns .turn-title, .post[data-state="queued"] .post-title');
    const titles = [...next].slice(0, 2).map((each) => each.textContent.trim());
    const shown = [...coming.querySelectorAll("bdi")].map((each) => each.textContent);
    if (titles.join("\n") === shown.join("\n")) return;
    for (const item of coming.querySelectorAll("bdi")) item.remove();
    for (const title of titles) coming.append(Object.assign(document.createElement("bdi"), { textContent: title }));
    coming.hidden = !titles.length;
  };
  name();
  for (const event of ["smnb:frame", "htmx:afterSettle"]) document.addEventListener(event, name);

  // The card of the story on air says which story waits for a decision, with its buttons.
  const waits = document.getElementById("waits");
  const decide = () => {
    const mode = document.querySelector("[data-control-mode]")?.dataset.controlMode;
    const turn = [...document.querySelectorAll(":is(#turns-first, #turns) .turn:has(.verdict)")].find(
      (each) => mode === "full-control" || each.querySelector("[data-held]"),
    );
    if (waits.dataset.turn === (turn?.id ?? "")) return;
    waits.dataset.turn = turn?.id ?? "";
    waits.hidden = !turn;
    waits.querySelector("[data-waits-title]").replaceChildren();
    waits.querySelector("[data-waits-tools]").replaceChildren();
    if (!turn) return;
    waits.querySelector("[data-waits-title]").append(turn.querySelector(".turn-title a").cloneNode(true));
    for (const button of turn.querySelectorAll(".verdict button")) {
      const copy = button.cloneNode(true);
      copy.id = button.id.replace("turn-", "waits-");
      copy.className = copy.value === "approve" ? "button button-main" : "button";
      waits.querySelector("[data-waits-tools]").append(copy);
    }
  };
  decide();
  for (const event of ["smnb:frame", "htmx:afterSettle"]) document.addEventListener(event, decide);

  const KEY = "smnb-pane";
  const choose = (id) => {
    const input = id && panes.querySelector(`#${CSS.escape(id)}`);
    if (input) input.checked = true;
  };
  // Links to a part of the desk open it, also from the desk itself.
  const follow = () => {
    if (location.hash === "#chat") choose("pane-producer");
    if (location.hash !== "#break-in") return;
    document.querySelector(".break-in").open = true;
    document.querySelector('.break-in input[name="title"]').focus();
  };
  choose(sessionStorage.getItem(KEY));
  follow();
  addEventListener("hashchange", follow);
  panes.addEventListener("change", (event) => sessionStorage.setItem(KEY, event.target.id));

  // A live update replaces the buttons of the run, and with them the open question about the stop.
  let asking = false;
  document.addEventListener("beforetoggle", ({ target, newState }) => {
    if (target.id === "stop-ask") asking = newState === "open";
  }, true);
  const askAgain = () => {
    const question = document.getElementById("stop-ask");
    if (!question) asking = false;
    else if (asking && !question.matches(":popover-open")) question.showPopover();
  };
  for (const event of ["smnb:frame", "htmx:afterSettle"]) document.addEventListener(event, askAgain);

  // A command of the run replaces its buttons, so the focus goes to the one that is next.
  const air = document.getElementById("air");
  let inAir = false;
  for (const event of ["focusin", "pointerdown"]) {
    document.addEventListener(event, ({ target }) => { inAir = air.contains(target); });
  }
  const refocus = () => {
    if (!inAir || document.activeElement !== document.body) return;
    air.querySelector(":is(#air-undo, #air-stop, #air-recover, #air-start):enabled")?.focus();
  };
  for (const event of ["smnb:frame", "htmx:afterSettle"]) document.addEventListener(event, refocus);

  // The latest message is in view, unless older ones are being read.
  const messages = document.getElementById("messages");
  let atEnd = true;
  const scroll = () => { if (atEnd) messages.scrollTop = messages.scrollHeight; };
  messages.addEventListener("scroll", () => {
    atEnd = messages.scrollHeight - messages.scrollTop - messages.clientHeight < 60;
  });
  scroll();
  panes.addEventListener("change", scroll);
  document.addEventListener("smnb:frame", scroll);
})();

// The desk: the monitor's picture fits its box, what airs next is named, panes are remembered.
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

  if (location.hash === "#break-in") {
    document.querySelector(".break-in").open = true;
    document.querySelector('.break-in input[name="title"]').focus();
  }

  const KEY = "smnb-pane";
  const chosen = location.hash === "#chat" ? "pane-producer" : sessionStorage.getItem(KEY);
  const input = chosen && panes.querySelector(`#${CSS.escape(chosen)}`);
  if (input) input.checked = true;
  panes.addEventListener("change", (event) => sessionStorage.setItem(KEY, event.target.id));

  // The latest message is in view, unless older ones are being read.
  const messages = document.getElementById("messages");
  let atEnd = true;
  const follow = () => { if (atEnd) messages.scrollTop = messages.scrollHeight; };
  messages.addEventListener("scroll", () => {
    atEnd = messages.scrollHeight - messages.scrollTop - messages.clientHeight < 60;
  });
  follow();
  panes.addEventListener("change", follow);
  document.addEventListener("smnb:frame", follow);
})();

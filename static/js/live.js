// The page's half of live delivery: frames in order, gaps asked for, the socket reopened.
(() => {
  "use strict";
  const main = document.querySelector("[data-live]");
  const badge = document.getElementById("connection");
  const refusal = document.getElementById("refusal");
  const FINAL = {
    4401: "You are signed out, so this page no longer follows the broadcast. Sign in again.",
    4404: "This broadcast can no longer be followed here: its link was withdrawn or it is not yours.",
  };
  const ASK_AGAIN_MS = 3000;
  const HURRY_MS = 30000;
  const touched = new Map();
  let current = Number(document.getElementById("seq")?.dataset.seq || 0);
  let socket = null;
  let highest = 0;
  let asking = 0;
  let lostAt = 0;
  let timer = 0;
  let applied = 0;

  const say = (sentence) => { if (badge.textContent !== sentence) badge.textContent = sentence; };

  const aim = (part) => {
    const value = part.getAttribute("hx-swap-oob");
    const colon = value.indexOf(":");
    if (colon < 0) return { style: "outerHTML", target: document.getElementById(part.id) };
    const target = document.querySelector(value.slice(colon + 1));
    return { style: value.slice(0, colon), target };
  };

  // An item that is inserted though the page shows it already replaces it where it stands.
  const replacePresent = (wrapper, fragment) => {
    for (const item of [...wrapper.children]) {
      if (!item.id || !document.getElementById(item.id)) continue;
      item.setAttribute("hx-swap-oob", "true");
      fragment.append(item);
    }
  };

  // A part whose place this page does not have is dropped: pages show different selections.
  const prepare = (fragment) => {
    for (const part of [...fragment.querySelectorAll("[hx-swap-oob]")]) {
      const { style, target } = aim(part);
      if (!target) part.remove();
      else {
        touched.set(target.id, applied);
        if (style === "afterbegin" || style === "beforeend") replacePresent(part, fragment);
      }
    }
  };

  // Stories come as they are released, and air break-ins first and then by their number.
  const sort = () => {
    for (const list of document.querySelectorAll("[data-sorted]")) {
      const before = (a, b) => a.dataset.order.localeCompare(b.dataset.order, "en", { numeric: true });
      const items = [...list.children];
      const sorted = items.toSorted(before);
      if (sorted.some((item, at) => item !== items[at])) list.append(...sorted);
    }
  };

  const trim = () => {
    for (const list of document.querySelectorAll("[data-max]")) {
      const newestLast = "newestLast" in list.dataset;
      while (list.children.length > Number(list.dataset.max)) {
        (newestLast ? list.firstElementChild : list.lastElementChild).remove();
        while (list.lastChild && list.lastChild.nodeType === Node.TEXT_NODE) list.lastChild.remove();
        list.append("\n");
      }
    }
  };

  const apply = (template, seq) => {
    applied += 1;
    // From now on what is inserted arrives in motion, which the style sheets define.
    document.documentElement.dataset.liveMoved = "";
    prepare(template.content);
    htmx.swap(document.body, template.innerHTML, { swapStyle: "none" });
    sort();
    trim();
    document.dispatchEvent(new CustomEvent("smnb:frame", { detail: { seq } }));
  };

  const ask = () => socket.send(JSON.stringify({ after: current }));

  // A gap is asked for once; what is still missing after a while is asked for again.
  const askForGap = () => {
    if (asking) return;
    ask();
    asking = setTimeout(() => {
      asking = 0;
      if (highest > current && socket?.readyState === WebSocket.OPEN) askForGap();
    }, ASK_AGAIN_MS);
  };

  const receive = (text) => {
    const template = document.createElement("template");
    template.innerHTML = text;
    const mark = template.content.querySelector("#seq");
    if (!mark) {
      apply(template, null);
      return;
    }
    if ("reload" in mark.dataset) {
      location.reload(); // away for so long that loading anew is shorter than catching up
      return;
    }
    const seq = Number(mark.dataset.seq);
    if (seq <= current) return;
    highest = Math.max(highest, seq);
    if (Number(mark.dataset.prev || 0) > current) {
      askForGap();
      return;
    }
    current = seq;
    if (highest === current) {
      clearTimeout(asking);
      asking = 0;
    }
    apply(template, seq);
  };

  const wait = () => {
    const [least, most] = Date.now() - lostAt < HURRY_MS ? [300, 2000] : [2000, 15000];
    return least + Math.random() * (most - least);
  };

  const lost = (code) => {
    socket = null;
    if (FINAL[code]) {
      say(FINAL[code]);
      return;
    }
    lostAt ||= Date.now();
    say("Reconnecting… What you see may be out of date.");
    clearTimeout(timer);
    timer = setTimeout(open, wait());
  };

  function open() {
    clearTimeout(timer);
    const mine = new WebSocket(location.origin.replace(/^http/, "ws") + main.dataset.live);
    socket = mine;
    mine.addEventListener("open", () => {
      lostAt = 0;
      say("");
      ask();
    });
    mine.addEventListener("message", (event) => { if (socket === mine) receive(event.data); });
    mine.addEventListener("close", (event) => { if (socket === mine) lost(event.code); });
  }

  const drop = () => {
    const old = socket;
    if (!old) return;
    lost(1006);
    old.close();
  };

  // A replay goes on at another place or pace, on a page that has come to ``seq``; or it rests.
  document.addEventListener("smnb:aim", ({ detail: { path, seq } }) => {
    const old = socket;
    socket = null;
    old?.close();
    clearTimeout(timer);
    clearTimeout(asking);
    asking = lostAt = highest = 0;
    current = seq ?? current;
    say("");
    if (!path) return;
    main.dataset.live = path;
    open();
  });

  if (main) {
    open();
    addEventListener("offline", drop);
    addEventListener("online", () => { if (!socket && lostAt) open(); });
  }

  // An answer that is older than a frame already shown in the same place is not shown there; what
  // it says in other places is.
  document.addEventListener("htmx:beforeRequest", (event) => {
    event.detail.xhr.appliedAtStart = applied;
    // A part that is fetched again says nothing about what was refused.
    if (refusal && event.detail.requestConfig.verb === "post") refusal.textContent = "";
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { target, xhr } = event.detail;
    if (/^\s*<!doctype/i.test(xhr.responseText)) {
      event.detail.shouldSwap = false;
      location.assign(xhr.responseURL);
    } else if ((touched.get(target.id) ?? -1) > xhr.appliedAtStart) event.detail.swapOverride = "none";
  });
  const failed = () => {
    if (!refusal || refusal.textContent.trim()) return;
    const sentence = document.createElement("p");
    sentence.className = "banner banner-caution";
    sentence.textContent = "The studio did not answer as it should. Look at the state above, then try again.";
    refusal.replaceChildren(sentence);
  };
  document.addEventListener("htmx:afterRequest", (event) => {
    const { elt, successful } = event.detail;
    const details = successful && elt.matches("[data-closes]") && elt.closest("details");
    if (!details) return;
    details.open = false;
    details.querySelector("summary").focus();
  });
  document.addEventListener("htmx:sendError", failed);
  document.addEventListener("htmx:timeout", failed);
  document.addEventListener("htmx:responseError", (event) => {
    if (event.detail.xhr.status >= 500 || event.detail.xhr.status === 404) failed();
  });
})();

// The command palette (Ctrl+K), the shortcuts of single keys, and the session of this tab.
(() => {
  "use strict";
  const palette = document.getElementById("palette");
  const sheet = document.getElementById("shortcuts");
  if (!palette || !sheet) return;
  const text = document.getElementById("palette-text");
  const list = document.getElementById("palette-list");
  const none = document.getElementById("palette-none");
  const single = document.getElementById("single-keys");
  const SESSION = "smnb-session";
  const SINGLE = "smnb-single-keys";

  // A page without a session of its own leads to the session that this tab showed last.
  const ours = palette.dataset.session;
  if (ours) {
    sessionStorage.setItem(SESSION, ours);
    sessionStorage.setItem(`${SESSION}-name`, document.querySelector("[data-session-name]").textContent);
  }
  const session = ours || sessionStorage.getItem(SESSION);
  if (session && !ours) {
    for (const link of document.querySelectorAll("[data-of-session]")) {
      link.href = link.dataset.ofSession.replace("{}", session);
    }
  }

  // What a button of the page does, by a selector of the button, and its shortcut.
  const BUTTONS = [
    ["Go Live", "#air-start"],
    ["Stop the broadcast", "#air-stop"],
    ["Stop after this story", "#stop-after-story"],
    ["Undo the stop", "#air-undo"],
    ["Recover the run", "#air-recover"],
    ["Approve the first waiting story", '#needs [value="approve"]', "A"],
    ["Veto the first waiting story", '#needs [value="veto"]', "V"],
    ["Pin the first post", '.post[data-state="queued"] [value^="pin"]'],
    ["Hold the first post", '.post[data-state="queued"] [value^="hold"]'],
    ["Kill the first post", '.post[data-state="queued"] [value^="kill"]'],
    ["Switch theme", "[data-theme-toggle]"],
    ["Take a screenshot", ".screenshot button"],
  ];
  let commands = [];
  let shown = [];
  let chosen = 0;

  const collect = () => {
    const links = [...document.querySelectorAll(".bar-areas a, #palette-links a")].map((link) => ({
      name: link.textContent.trim(),
      key: link.dataset.key ? `G ${link.dataset.key.toUpperCase()}` : link.dataset.shortcut,
      run: () => location.assign(link.href),
    }));
    const buttons = BUTTONS.flatMap(([name, selector, key]) => {
      // A frame may replace the button while the palette is open.
      const button = () => document.querySelector(`:is(${selector}):enabled`);
      return button() ? [{ name, key, run: () => button()?.click() }] : [];
    });
    const help = { name: "Keyboard shortcuts", key: "?", run: () => sheet.showModal() };
    commands = [...buttons, ...links, help];
  };

  const addSessions = async () => {
    const answer = await fetch(palette.dataset.sessions, { headers: { "HX-Request": "true" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const link of page.querySelectorAll("a[data-session]")) {
      const name = link.querySelector("span").textContent.trim();
      commands.push({ name: `Switch to ${name}`, run: () => location.assign(link.getAttribute("href")) });
    }
    if (palette.open) show();
  };

  const mark = () => {
    for (const [index, item] of [...list.children].entries()) {
      item.setAttribute("aria-selected", String(index === chosen));
      if (index === chosen) item.scrollIntoView({ block: "nearest" });
    }
    text.setAttribute("aria-activedescendant", list.children[chosen]?.id ?? "");
  };

  const show = () => {
    const words = text.value.toLowerCase().split(/\s+/);
    shown = commands.filter(({ name }) => words.every((word) => name.toLowerCase().includes(word)));
    chosen = 0;
    list.replaceChildren(
      ...shown.map(({ name, key }, index) => {
        const item = document.createElement("li");
        item.id = `palette-${index}`;
        item.role = "option";
        item.dir = "auto";
        item.textContent = name;
        if (key) item.dataset.key = key;
        return item;
      }),
    );
    none.textContent = shown.length ? "" : "No command, page or session matches.";
    mark();
  };

  const run = (index) => {
    const command = shown[index];
    if (!command) return;
    palette.close();
    command.run();
  };

  const openPalette = () => {
    collect();
    text.value = "";
    palette.showModal();
    show();
    addSessions().catch(() => {});
  };

  text.addEventListener("input", show);
  text.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && shown.length) {
      event.preventDefault();
      chosen = (chosen + step + shown.length) % shown.length;
      mark();
    } else if (event.key === "Enter") {
      event.preventDefault();
      run(chosen);
    }
  });
  list.addEventListener("click", (event) => {
    run([...list.children].indexOf(event.target.closest("li")));
  });

  single.checked = localStorage.getItem(SINGLE) !== "off";
  single.addEventListener("change", () => localStorage.setItem(SINGLE, single.checked ? "on" : "off"));

  const press = (selector) => {
    const button = document.querySelector(`:is(${selector}):enabled`);
    button?.click();
    return Boolean(button);
  };
  const inRow = (verb) => {
    const row = document.activeElement?.closest?.(".post");
    return row ? press(`#${row.id} [value^="${verb}"]`) : false;
  };
  const search = () => {
    const field = document.querySelector('main input[type="search"]');
    const link = document.querySelector('[data-shortcut="/"]');
    if (field) field.focus();
    else if (link) location.assign(link.href);
    return Boolean(field || link);
  };
  const KEYS = {
    "?": () => { sheet.showModal(); return true; },
    "/": search,
    a: () => press('[id^="turn-approve-"], [id^="approve-"]') || press('#needs [value="approve"]'),
    v: () => press('[id^="turn-veto-"], [id^="veto-"]') || press('#needs [value="veto"]'),
    p: () => inRow("pin") || inRow("unpin"),
    h: () => inRow("hold") || inRow("release"),
    k: () => inRow("kill"),
  };
  let goTo = 0;

  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      if (palette.open) palette.close();
      else openPalette();
      return;
    }
    const writing = event.target.closest("input:not([type=radio], [type=checkbox]), textarea, select, dialog, [contenteditable]");
    if (!single.checked || writing || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    if (Date.now() < goTo) {
      goTo = 0;
      const link = document.querySelector(`.bar-areas [data-key="${CSS.escape(key)}"]`);
      if (link) {
        event.preventDefault();
        location.assign(link.href);
      }
    } else if (key === "g") goTo = Date.now() + 1500;
    else if (KEYS[key]?.()) event.preventDefault();
  });

  const filter = document.querySelector("[data-switcher-filter]");
  const narrow = () => {
    const word = filter.value.toLowerCase();
    for (const item of document.querySelectorAll("#switcher-list li")) {
      item.hidden = !item.textContent.toLowerCase().includes(word);
    }
  };
  filter.addEventListener("input", narrow);
  document.addEventListener("htmx:afterSettle", narrow);
})();

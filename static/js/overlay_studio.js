// The overlay studio: the preview and the link follow the form.
(() => {
  "use strict";
  const form = document.getElementById("overlay-form");
  const stage = document.querySelector("[data-stage]");
  const preview = document.querySelector("[data-preview]");
  const address = document.getElementById("overlay-address");
  const page = new URL(preview.src);
  const stale = document.getElementById("overlay-stale");
  // The look is in the link, so a change is in OBS only once the new link is there.
  let copied = address?.value;
  document.getElementById("overlay-copy")?.addEventListener("click", () => {
    copied = address.value;
    stale.textContent = "";
  });

  const chosen = () => Object.fromEntries(new FormData(form));

  // As the server does: options at their default, or without effect in this theme, are left out.
  const query = (look) => {
    const changed = new URLSearchParams();
    for (const field of form.querySelectorAll("[data-name]")) {
      const { name, default: usual } = field.dataset;
      const value = look[name].replace("#", "");
      if (!field.hidden && value !== usual) changed.set(name, value);
    }
    return changed.size ? `?${changed}` : "";
  };

  const showFields = (look) => {
    for (const field of form.querySelectorAll("[data-layouts]")) {
      const { layouts } = field.dataset;
      field.hidden = Boolean(layouts) && !layouts.split(" ").includes(look.layout);
    }
    form.querySelector('[data-name="color"]').hidden = look.accent !== "custom";
    for (const size of document.querySelectorAll("[data-picture]")) {
      size.hidden = (size.dataset.picture === "tall") !== (look.layout === "vertical");
    }
  };

  const carry = (look) => {
    for (const other of document.querySelectorAll("[data-carries-look]")) {
      for (const [name, value] of Object.entries(look)) {
        const input = other.querySelector(`[data-look][name="${name}"]`) ?? document.createElement("input");
        Object.assign(input, { type: "hidden", name, value });
        input.dataset.look = "";
        other.append(input);
      }
    }
  };

  let timer = 0;
  const update = () => {
    const look = chosen();
    showFields(look);
    carry(look);
    const text = query(look);
    stage.dataset.layout = look.layout;
    if (address) {
      address.value = address.dataset.base + text;
      document.getElementById("overlay-copy").dataset.copy = address.value;
      document.getElementById("overlay-open").href = address.value;
      stale.textContent = address.value === copied ? "" : "The look has changed. Copy the link again.";
    }
    history.replaceState(null, "", location.pathname + text);
    clearTimeout(timer);
    // replace(), so that "back" leaves the page instead of undoing one choice after the other.
    timer = setTimeout(() => preview.contentWindow.location.replace(page.pathname + text), 150);
  };
  form.addEventListener("input", update);
  carry(chosen());

  const fit = () => {
    const wide = stage.dataset.layout === "vertical" ? 1080 : 1920;
    stage.style.setProperty("--scale", stage.clientWidth / wide);
  };
  new ResizeObserver(fit).observe(stage);
})();

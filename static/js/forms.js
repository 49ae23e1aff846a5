// Marks forms with unsaved changes, asks before the page is left, and answers at the button.
(() => {
  "use strict";
  const stored = new WeakMap();
  const state = (form) => {
    const fields = new FormData(form);
    fields.delete("csrfmiddlewaretoken");
    return new URLSearchParams([...fields].filter(([, value]) => typeof value === "string")).toString();
  };
  // A form that came back with errors is unsaved as it is.
  const begin = (form) => stored.set(form, form.hasAttribute("data-unsaved") ? null : state(form));
  const forms = () => document.querySelectorAll("form[data-saves]");

  for (const form of forms()) begin(form);
  document.addEventListener("input", (event) => {
    const form = event.target.closest("form[data-saves]");
    if (!form) return;
    form.toggleAttribute("data-unsaved", state(form) !== stored.get(form));
    const answer = form.querySelector(".form-answer");
    if (answer) answer.textContent = "";
  });
  document.addEventListener("htmx:afterSwap", () => {
    for (const form of forms()) if (!stored.has(form)) begin(form);
  });
  // A form without parts of its own says at its button that it was received.
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    const form = detail.elt.closest("form[data-answers]");
    if (form && detail.successful) form.querySelector(".form-answer").textContent = form.dataset.answers;
  });
  document.addEventListener("submit", (event) => event.target.removeAttribute("data-unsaved"));
  addEventListener("beforeunload", (event) => {
    if (document.querySelector("form[data-unsaved]")) event.preventDefault();
  });
})();

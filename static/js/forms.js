// Marks forms with unsaved changes, asks before the page is left, and answers at the button.
(() => {
  "use strict";
  const stored = new WeakMap();
  const state = (form) => {
    const fields = new FormData(form);
    fields.delete("csrfmiddlewaretoken");
    // Of a file the name stands for its content.
    const texts = [...fields].map(([name, value]) => [name, value.name ?? value]);
    return new URLSearchParams(texts).toString();
  };
  const begin = (form) => {
    // A form that came back with errors is unsaved as it is; a password does not come back.
    const wrong = form.querySelector(".field-wrong, .errorlist") && !form.querySelector('[type="password"]');
    stored.set(form, wrong ? null : state(form));
    form.toggleAttribute("data-unsaved", Boolean(wrong));
    const button = form.querySelector('[type="submit"]:not([hidden])');
    const mark = Object.assign(document.createElement("span"), { className: "form-unsaved", textContent: "Unsaved changes" });
    const end = button.closest(".form-end");
    if (end) end.insertBefore(mark, end.querySelector(".form-answer"));
    else button.after(mark);
  };
  const beginNew = () => {
    for (const form of document.querySelectorAll("form[data-saves]")) if (!stored.has(form)) begin(form);
  };
  const mark = (form) => form.toggleAttribute("data-unsaved", state(form) !== stored.get(form));

  beginNew();
  for (const type of ["input", "change"]) {
    document.addEventListener(type, ({ target }) => {
      const form = target.form?.closest("form[data-saves]");
      if (!form) return;
      mark(form);
      const answer = form.querySelector(".form-answer");
      if (answer) answer.textContent = "";
    });
  }
  document.addEventListener("reset", ({ target }) => { if (stored.has(target)) setTimeout(mark, 0, target); });
  document.addEventListener("htmx:afterSwap", beginNew);
  // A form without parts of its own says at its button that it was received.
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    const form = detail.elt.closest("form");
    if (!form) return;
    if (!detail.successful && stored.has(form)) mark(form);
    if (!detail.successful || !form.dataset.answers) return;
    form.querySelector(".form-answer").textContent = form.dataset.answers;
    if (stored.has(form)) form.reset();
  });
  document.addEventListener("submit", ({ target, submitter }) => {
    // A button with a request of its own, such as a test, saves nothing.
    if (!submitter?.hasAttribute("hx-post")) target.removeAttribute("data-unsaved");
  });
  addEventListener("beforeunload", (event) => {
    if (document.querySelector("form[data-unsaved]")) event.preventDefault();
  });
})();

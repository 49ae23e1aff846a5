// Marks forms with unsaved changes, asks before the page is left, and answers at the button.
(() => {
  "use strict";
  const STILL_OPEN_MS = 5000;
  const stored = new WeakMap();
  const state = (form) => {
    const fields = new FormData(form);
    fields.delete("csrfmiddlewaretoken");
    // A password that the browser fills in is no change that was made here.
    for (const field of form.querySelectorAll('[type="password"]')) if (field.matches(":autofill")) fields.delete(field.name);
    // Of a file the name stands for its content.
    const texts = [...fields].map(([name, value]) => [name, value.name ?? value]);
    return new URLSearchParams(texts.filter(([, text]) => text)).toString();
  };
  const show = (form, unsaved) => {
    form.toggleAttribute("data-unsaved", unsaved);
    form.querySelector(".form-unsaved").textContent = unsaved ? "Unsaved changes" : "";
  };
  const begin = (form) => {
    // A form that came back with errors is unsaved as it is; a password does not come back.
    const wrong = form.querySelector(".field-wrong, .errorlist") && !form.querySelector('[type="password"]');
    stored.set(form, wrong ? null : state(form));
    const button = form.querySelector('[type="submit"]:not([hidden])');
    const sign = Object.assign(document.createElement("span"), { className: "form-unsaved", role: "status" });
    const end = button.closest(".form-end");
    if (end) end.insertBefore(sign, end.querySelector(".form-answer"));
    else button.after(sign);
    show(form, Boolean(wrong));
  };
  const beginNew = () => {
    for (const form of document.querySelectorAll("form[data-saves]")) if (!stored.has(form)) begin(form);
  };
  const mark = (form) => show(form, state(form) !== stored.get(form));

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
  // Before an answer is applied, which may lead to another page.
  document.addEventListener("htmx:beforeOnLoad", ({ detail: { elt, xhr } }) => {
    // A button with a request of its own, such as a test, saves nothing.
    if (elt.matches("form") && stored.has(elt) && xhr.status < 400) show(elt, false);
  });
  // A form without parts of its own says at its button that it was received.
  document.addEventListener("htmx:afterRequest", ({ detail: { elt, successful } }) => {
    const form = elt.closest("form");
    if (!successful || !form?.dataset.answers) return;
    form.querySelector(".form-answer").textContent = form.dataset.answers;
    if (stored.has(form)) form.reset();
  });
  document.addEventListener("submit", ({ target, defaultPrevented }) => {
    if (defaultPrevented || !stored.has(target)) return;
    show(target, false);
    // Sent, unless the page is still open by then.
    setTimeout(() => { if (target.isConnected) mark(target); }, STILL_OPEN_MS);
  });
  addEventListener("beforeunload", (event) => {
    if (document.querySelector("form[data-unsaved]")) event.preventDefault();
  });
})();

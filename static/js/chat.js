// The conversation with the producer: Enter sends, what was sent is cleared, the focus stays.
(() => {
  "use strict";
  const form = document.getElementById("chat-form");
  const text = document.querySelector("[data-chat]");
  if (!form || !text) return;
  let decided = null;

  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit(form.querySelector(".chat-send"));
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    const { elt, successful, requestConfig } = event.detail;
    if (elt !== form || !successful) return;
    const sent = requestConfig.formData.get("example") ? null : requestConfig.formData.get("text");
    if (text.value === sent) text.value = "";
    text.focus();
  });

  // The buttons of a plan go when it is decided; the message they stood in gets the focus.
  document.addEventListener("click", (event) => {
    decided = event.target.closest(".plan-buttons") && event.target.closest(".message");
  });
  document.addEventListener("smnb:frame", () => {
    if (!decided || decided.querySelector(".plan-buttons")) return;
    if (document.activeElement === document.body) decided.focus({ preventScroll: true });
    decided = null;
  });
})();

// The guided start: one step at a time, and the sample spoken by the browser's own voice.
(() => {
  "use strict";
  const form = document.getElementById("start-form");
  const steps = [...form.querySelectorAll(".start-step")];
  const links = [...document.querySelectorAll(".steps a")];
  const missing = document.getElementById("start-missing");
  const text = document.getElementById("id_sources");
  let open = 0;

  const chosen = () => text.value.trim() || form.querySelector('[name="groups"]:checked');
  const show = (index, focus = true) => {
    // Without a source there is nothing to go live with, so the first step comes first.
    missing.textContent = index && !chosen() ? "Choose a topic, or paste a source." : "";
    open = missing.textContent ? 0 : index;
    for (const [at, step] of steps.entries()) step.toggleAttribute("data-open", at === open);
    for (const [at, link] of links.entries()) {
      if (at === open) link.setAttribute("aria-current", "step");
      else link.removeAttribute("aria-current");
    }
    if (!open) text.focus();
    else if (focus) steps[open].focus();
  };

  form.classList.add("stepped");
  document.querySelector(".steps").hidden = false;
  for (const part of form.querySelectorAll("[data-with-steps], [data-back]")) part.hidden = false;
  for (const [at, link] of links.entries()) {
    link.addEventListener("click", (event) => { event.preventDefault(); show(at); });
  }
  form.addEventListener("click", (event) => {
    if (event.target.closest("[data-next]")) show(open + 1);
    else if (event.target.closest("[data-back]")) show(open - 1);
  });
  form.addEventListener("keydown", (event) => {
    // Enter goes to the next step; only the last one goes live.
    if (event.key !== "Enter" || event.target.matches("textarea, button") || open === steps.length - 1) return;
    event.preventDefault();
    show(open + 1);
  });
  const wrong = steps.findIndex((step) => step.querySelector(".field-wrong"));
  show(Math.max(0, wrong), false);

  const speak = form.querySelector("[data-speak]");
  const speech = window.speechSynthesis;
  // The voice of the broadcast where a speech engine is installed, else that of the browser.
  const address = speak.dataset.speak;
  if (!speech && !address) return;
  const sound = new Audio();
  const label = speak.querySelector("[data-speak-label]");
  speak.hidden = false;
  const rest = () => { label.textContent = "Hear a sample"; };
  for (const name of ["ended", "pause"]) sound.addEventListener(name, rest);
  const play = (sample) => {
    const text = sample.textContent.trim().replace(/\s+/g, " ").slice(0, 200);
    sound.src = `${address}?${new URLSearchParams({ language: sample.lang, text })}`;
    label.textContent = "Stop";
    sound.play().catch(() => { label.textContent = "The sample cannot be played"; });
  };
  speak.addEventListener("click", () => {
    if (!sound.paused) { sound.pause(); return; }
    if (address) {
      const text = document.getElementById("sample-text");
      if (text) play(text);
      return;
    }
    if (speech.speaking) { speech.cancel(); rest(); return; }
    const sample = document.getElementById("sample-text");
    if (!sample) return;
    const utterance = new SpeechSynthesisUtterance(sample.textContent.trim().replace(/\s+/g, " "));
    utterance.lang = sample.lang;
    utterance.onend = rest;
    utterance.onerror = ({ error }) => {
      label.textContent = error === "interrupted" || error === "canceled" ? "Hear a sample" : "No voice in this browser";
    };
    label.textContent = "Stop";
    speech.speak(utterance);
  });
  addEventListener("pagehide", () => { sound.pause(); speech?.cancel(); });
})();

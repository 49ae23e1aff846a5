// Reads what is on air aloud with the browser's own voice, once the viewer has switched it on.
(() => {
  "use strict";
  const button = document.querySelector("[data-voice]");
  if (!button) return;
  const label = button.querySelector("[data-voice-label]");
  const speech = window.speechSynthesis;
  let spoken = "";

  const remember = (on) => {
    try { sessionStorage.setItem("voice", on ? "on" : ""); } catch { /* private mode: this page only */ }
  };
  const remembered = () => {
    try { return sessionStorage.getItem("voice") === "on"; } catch { return false; }
  };
  const on = () => button.getAttribute("aria-pressed") === "true";
  const show = (pressed) => {
    button.setAttribute("aria-pressed", String(pressed));
    label.textContent = pressed ? "Reading aloud" : "Read aloud";
  };

  button.hidden = false;
  if (!speech) {
    button.disabled = true;
    label.textContent = "This browser has no voice";
    return;
  }

  const speak = () => {
    const story = document.querySelector("#onair [data-story]");
    if (!story) { speech.cancel(); spoken = ""; return; }
    if (!on() || story.dataset.story === spoken) return;
    spoken = story.dataset.story;
    speech.cancel();
    const title = story.querySelector("h2").textContent;
    const text = story.querySelector("[data-reveal]").textContent;
    speech.speak(new SpeechSynthesisUtterance(`${title}. ${text}`));
  };

  button.addEventListener("click", () => {
    show(!on());
    remember(on());
    spoken = "";
    if (on()) speak();
    else speech.cancel();
  });
  document.addEventListener("smnb:frame", speak);
  addEventListener("pagehide", () => speech.cancel());
  // A page may speak by itself only after a click; what was switched on before is offered again.
  if (remembered()) { show(true); speak(); }
})();

// Reads what is on air aloud once the viewer has switched it on: with the sound of the studio, or with the
// browser's own voice where a story has none.
(() => {
  "use strict";
  const button = document.querySelector("[data-voice]");
  if (!button) return;
  const label = button.querySelector("[data-voice-label]");
  const speech = window.speechSynthesis;
  const PATIENCE_MS = 3000;
  const SOON_MS = 5000; // in which the sound of a story that has just been written follows
  const GONE = ["synthesis-unavailable", "language-unavailable", "voice-unavailable"];
  // Without the audio extra no sound is worth waiting for.
  let studioSpeaks = "studioSpeaks" in button.dataset;
  let spoken = "";
  let identified = 0;
  let asked = "";
  let since = 0;

  const remember = (on) => {
    try { sessionStorage.setItem("voice", on ? "on" : ""); } catch { /* private mode: this page only */ }
  };
  const remembered = () => {
    try { return sessionStorage.getItem("voice") === "on"; } catch { return false; }
  };
  const on = () => button.getAttribute("aria-pressed") === "true";
  const show = (pressed) => {
    button.setAttribute("aria-pressed", String(pressed));
    label.textContent = pressed ? "Sound on" : "Listen";
  };

  const silent = () => {
    show(false);
    button.disabled = true;
    label.textContent = "No voice here";
  };

  button.hidden = false;
  if (!speech && !studioSpeaks) {
    silent();
    return;
  }

  // A browser may learn of its voices only after a while; one that has none just says nothing.
  const check = () => {
    if (studioSpeaks || !speech.getVoices || speech.getVoices().length) return;
    setTimeout(() => { if (!speech.getVoices().length) silent(); }, PATIENCE_MS);
  };

  // A voice on this machine: some of those elsewhere stop after 15 seconds, and hear what is said.
  const near = (language) => {
    const base = language.slice(0, 2).toLowerCase();
    const found = (speech.getVoices?.() ?? []).filter((voice) => (
      voice.localService && voice.lang.toLowerCase().startsWith(base)
    ));
    return found.find((voice) => voice.default) ?? found[0] ?? null;
  };

  // What the page says of itself is heard first, and again with the first story of each hour.
  const identify = () => {
    const hour = Math.floor(Date.now() / 3600000);
    const notice = document.querySelector("[data-notice]");
    if (!notice || hour === identified) return;
    identified = hour;
    const utterance = new SpeechSynthesisUtterance(notice.textContent.trim().replace(/\s+/g, " "));
    utterance.lang = notice.lang;
    utterance.voice = near(utterance.lang);
    speech.speak(utterance);
  };

  const utter = (story) => {
    const title = story.querySelector("h2").textContent;
    const text = story.querySelector("[data-reveal]").textContent;
    const utterance = new SpeechSynthesisUtterance(`${title}. ${text}`);
    utterance.lang = story.closest("[lang]").lang;
    utterance.voice = near(utterance.lang);
    utterance.onerror = ({ error }) => {
      if (error === "not-allowed") show(false); // it wants a click first
      else if (GONE.includes(error)) silent();
    };
    speech.speak(utterance);
  };

  const quiet = () => {
    spoken = "";
    speech?.cancel();
    window.smnbSound?.stop();
  };

  const speak = () => {
    if (!on()) return;
    const story = document.querySelector("#onair [data-story]");
    const id = story?.dataset.story ?? "";
    if (!id) { quiet(); return; }
    if (id === spoken) return;
    if (id !== asked) [asked, since] = [id, Date.now()];
    if (window.smnbSound?.ready()) {
      studioSpeaks = true;
      spoken = id;
      speech?.cancel();
      window.smnbSound.start(() => { show(false); quiet(); }); // it wants a click first
    } else if (studioSpeaks && Date.now() - since < SOON_MS) setTimeout(speak, 500);
    else if (speech) {
      quiet();
      spoken = id;
      identify();
      utter(story);
    }
  };

  button.addEventListener("click", () => {
    show(!on());
    remember(on());
    quiet();
    if (!on()) return;
    check();
    speak();
  });
  document.addEventListener("smnb:frame", speak);
  addEventListener("pagehide", () => speech?.cancel());
  // A page may speak by itself only after a click; what was switched on before is offered again.
  if (remembered()) { show(true); check(); speak(); }
})();

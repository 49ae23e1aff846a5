// The sound of the story on air, in time with its words: in the overlay, and on the watch page once the viewer
// listens. The station identifies itself before the first story, and before the first one of each hour.
(() => {
  "use strict";
  const root = document.querySelector("[data-identification]");
  if (!root) return;
  const CATCH_UP = 1.25; // the fastest that a voice still sounds natural
  const CAUGHT_UP = 4; // seconds
  const SPREAD_MS = 2000;
  const CUE = /^(\S+) --> (\S+)\n((?:.+\n)+)/gm;
  const audio = new Audio();
  const identification = new URL(root.dataset.identification, location.href).href;
  let on = false;
  let playing = "";
  let identified = 0;
  let identifying = 0; // when the station identification began, while it is heard
  let captions = [];
  let onRefused = () => {};

  const slot = () => document.getElementById("sound");
  const times = () => document.querySelector("[data-finish-at]")?.dataset;
  // The address is relative to the overlay, which lies one level deeper than the watch page.
  const due = () => (slot() ? new URL(slot().dataset.src.replace("../", ""), identification).href : "");

  const seconds = (time) => time.split(":").reduce((sum, part) => 60 * sum + Number(part), 0);
  // When each caption is read, and how much of the text it is.
  const load = async (src) => {
    captions = [];
    // An audience that gets a story at one moment should not ask for its sound and its captions at once.
    await new Promise((done) => setTimeout(done, Math.random() * SPREAD_MS));
    try {
      const answer = await fetch(`${src}.vtt`);
      const found = answer.ok ? [...(await answer.text()).matchAll(CUE)] : [];
      const lengths = found.map((cue) => cue[3].replace(/\s/g, "").length);
      const whole = lengths.reduce((sum, length) => sum + length, 0);
      if (src !== playing) return;
      captions = found.map((cue, at) => (
        { begin: seconds(cue[1]), end: seconds(cue[2]), share: lengths[at] / whole }
      ));
    } catch { /* without them the words follow at one pace */ }
  };

  // How much of the story the voice has read, from 0 to 1; null while it is not read.
  const share = () => {
    const story = times();
    if (!on || !playing || !slot() || !story) return null;
    if (identifying) return identifying - Date.parse(story.airedAt) < CAUGHT_UP * 1000 ? 0 : null;
    if (audio.src !== playing || (audio.paused && !audio.ended)) return null;
    const at = audio.currentTime;
    if (!captions.length) return Math.min(1, at / Number(slot().dataset.seconds));
    return captions.reduce((sum, { begin, end, share: part }) => (
      sum + part * Math.min(1, Math.max(0, (at - begin) / (end - begin)))
    ), 0);
  };

  // A browser may want a click first; streaming software does not.
  const begin = () => audio.play().catch((error) => {
    if (error.name !== "NotAllowedError") return;
    playing = "";
    identified = identifying = 0;
    onRefused();
  });
  // What a phone shows on its lock screen.
  const name = () => {
    if (!navigator.mediaSession) return;
    const [title, artist] = ["#onair h2, .lower-title", "h1"]
      .map((place) => document.querySelector(place)?.textContent.trim() ?? "");
    navigator.mediaSession.metadata = new MediaMetadata({ title, artist });
  };
  const story = () => {
    audio.src = playing;
    name();
    begin();
  };
  const play = () => {
    const src = on ? due() : "";
    if (src === playing) return;
    playing = src;
    if (!src) {
      identifying = 0;
      audio.pause(); // also of a story that was corrected: it must not go on as it was
      return;
    }
    load(src);
    if (identified !== Math.floor(Date.now() / 3600000)) {
      identified = Math.floor(Date.now() / 3600000);
      identifying = Date.now();
      audio.src = identification;
      begin();
    } else if (!identifying) story();
  };
  const afterIdentification = () => {
    if (identifying && playing && audio.src === identification) story();
    else identifying = 0;
  };
  audio.addEventListener("ended", afterIdentification);
  audio.addEventListener("error", afterIdentification);
  audio.addEventListener("loadedmetadata", () => {
    if (audio.src === identification) return;
    const [sound, onAir] = [slot(), times()];
    // Of a story that had just begun nothing is left out, and the voice is a little faster until its end;
    // who came in the middle of one hears it from where its words are.
    const begun = (at) => (sound && onAir ? (at - Date.parse(onAir.airedAt)) / 1000 : Infinity);
    const late = begun(identifying || Date.now()) < CAUGHT_UP ? 0 : begun(Date.now());
    identifying = 0;
    if (!sound || !onAir || late > Number(sound.dataset.seconds)) {
      audio.pause();
      return;
    }
    audio.currentTime = late;
    const left = (Date.parse(onAir.finishAt) - Date.now()) / 1000;
    const speed = left > 0 ? (Number(sound.dataset.seconds) - late) / left : CATCH_UP;
    audio.playbackRate = Math.min(CATCH_UP, Math.max(1, speed));
  });

  const start = (refused = () => {}) => {
    onRefused = refused;
    on = true;
    play();
  };
  const stop = () => {
    on = false;
    play();
  };
  window.smnbSound = { start, stop, share, ready: () => Boolean(slot()) };
  document.addEventListener("smnb:frame", play);
  if (root.dataset.sound === "1") start();
})();

// A replay aloud: the sound of the story that is on air then, at the speed at which it was told.
(() => {
  "use strict";
  const button = document.getElementById("replay-sound");
  if (!button) return;
  const AWAY_S = 1;
  const audio = new Audio();
  let source = "";
  let broken = "";

  const on = () => button.getAttribute("aria-pressed") === "true";
  const press = (pressed) => button.setAttribute("aria-pressed", String(pressed));

  // Its place on the overlay's page is one level above; a replay lies one level deeper.
  const due = () => {
    const sound = document.getElementById("sound");
    const story = document.querySelector("#onair [data-reveal]");
    if (!on() || !sound || !story || !window.smnbReplay.told()) return null;
    const at = (window.smnbReplay.now() - Date.parse(story.dataset.airedAt)) / 1000;
    const src = `../${sound.dataset.src}`;
    return src !== broken && at >= 0 && at < Number(sound.dataset.seconds) ? { src, at } : null;
  };

  const follow = () => {
    const found = due();
    if (!found) { audio.pause(); return; }
    const fresh = found.src !== source;
    if (fresh) audio.src = source = found.src;
    const away = Math.abs(audio.currentTime - found.at) > AWAY_S;
    if (fresh || (away && !audio.seeking && audio.readyState > 1)) audio.currentTime = found.at;
    if (audio.paused) audio.play().catch((error) => { if (error.name === "NotAllowedError") press(false); });
  };

  // A sound that was taken back since is not asked for again and again.
  audio.addEventListener("error", () => { broken = source; });
  button.addEventListener("click", () => { press(!on()); follow(); });
  document.addEventListener("smnb:frame", follow);
  setInterval(follow, 250);
})();

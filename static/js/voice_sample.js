// Plays a sentence in the voices that the form shows, saved or not.
(() => {
  "use strict";
  const part = document.querySelector("[data-sample]");
  if (!part) return;
  const state = part.querySelector("[role=status]");
  const audio = new Audio();
  let asked = 0;

  const address = () => {
    const query = new URLSearchParams({ text: part.querySelector("input").value, n: String(asked) });
    // The form is another one after each time it is saved.
    const form = document.getElementById("form-settings");
    for (const name of ["voice", "co_voice", "language", "pace"]) {
      const field = form?.elements[name];
      if (field) query.set(name, field.value);
    }
    return `${part.dataset.sample}?${query}`;
  };

  part.querySelector("a").addEventListener("click", async (event) => {
    event.preventDefault();
    asked += 1;
    const mine = asked;
    audio.pause();
    state.textContent = "Preparing the sample …";
    try {
      const url = address();
      const answer = await fetch(url);
      if (mine !== asked) return;
      if (!answer.ok || !answer.headers.get("Content-Type")?.startsWith("audio/")) {
        state.textContent = answer.ok ? "Sign in again to hear it." : (await answer.text()).slice(0, 300);
        return;
      }
      audio.src = url;
      state.textContent = "Playing.";
      await audio.play();
    } catch {
      if (mine === asked) state.textContent = "The sample cannot be played. Try again.";
    }
  });
  audio.addEventListener("ended", () => { state.textContent = "Played."; });
  part.querySelector("input").addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    part.querySelector("a").click();
  });
})();

// A picture of the desk, taken from this very tab as the browser shows it, and kept as a file.
(() => {
  "use strict";
  const MOST_SIDE = 8192;
  const EVERY_MS = 100;
  const PATIENCE_MS = 10_000;
  const REASONS = {
    NotAllowedError: "No picture was taken: this tab was not shared.",
    NotSupportedError: "This browser cannot take a picture of its tab. Upload one under Artifacts.",
    TimeoutError: "The browser gave no picture of this tab. Try again, or upload one under Artifacts.",
    TypeError: "The picture could not be sent. Look at the connection, then try again.",
  };
  const OPTIONS = {
    audio: false,
    video: { displaySurface: "browser", frameRate: 5 },
    preferCurrentTab: true,
    selfBrowserSurface: "include",
    surfaceSwitching: "exclude",
    systemAudio: "exclude",
  };

  const framed = async (video) => {
    await video.play();
    if (!video.requestVideoFrameCallback) return;
    await new Promise((done) => { video.requestVideoFrameCallback(done); });
  };

  // A page on which nothing moves gives no frame: a pixel in its corner changes until there is one.
  const stirring = async (promise) => {
    const pixel = document.createElement("i");
    pixel.className = "screenshot-pixel";
    document.body.append(pixel);
    const timer = setInterval(() => pixel.toggleAttribute("data-on"), EVERY_MS);
    const late = new Promise((_, fail) => {
      setTimeout(() => fail(new DOMException("", "TimeoutError")), PATIENCE_MS);
    });
    try {
      await Promise.race([promise, late]);
    } finally {
      clearInterval(timer);
      pixel.remove();
    }
  };

  const picture = async (stream) => {
    const video = document.createElement("video");
    video.muted = true;
    video.srcObject = stream;
    await stirring(framed(video));
    const scale = Math.min(1, MOST_SIDE / Math.max(video.videoWidth, video.videoHeight));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(video.videoWidth * scale));
    canvas.height = Math.max(1, Math.round(video.videoHeight * scale));
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  };

  const taken = async () => {
    if (!navigator.mediaDevices?.getDisplayMedia) throw new DOMException("", "NotSupportedError");
    const stream = await navigator.mediaDevices.getDisplayMedia(OPTIONS);
    try {
      return await picture(stream);
    } finally {
      for (const track of stream.getTracks()) track.stop();
    }
  };

  const sent = async (form, blob) => {
    const body = new FormData();
    body.append("csrfmiddlewaretoken", document.querySelector("input[name=csrfmiddlewaretoken]").value);
    body.append("picture", blob, "desk.png");
    const answer = await fetch(form.dataset.screenshot, { method: "POST", body });
    const said = await answer.json().catch(() => ({}));
    if (answer.status === 201) return said.name;
    throw new Error(said.sentence || `The picture was not kept (${answer.status}).`);
  };

  const say = (place, text, address) => {
    const link = document.createElement("a");
    link.href = address;
    link.textContent = "Artifacts";
    place.replaceChildren(text, ...(address ? [link, "."] : []));
  };

  for (const form of document.querySelectorAll("form[data-screenshot]")) {
    const button = form.querySelector("button");
    const place = form.querySelector(".screenshot-status");
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (button.disabled) return;
      say(place, "");
      button.disabled = true;
      try {
        const name = await sent(form, await taken());
        say(place, `Kept as ${name} under `, form.action);
      } catch (error) {
        say(place, REASONS[error.name] || error.message);
      } finally {
        button.disabled = false;
        button.focus();
      }
    });
  }
})();

// Ticking durations, countdowns, and moments in the reader's own time zone.
(() => {
  "use strict";
  // A replay has a time of its own.
  const present = () => window.smnbReplay?.now() ?? Date.now();
  const two = (n) => String(n).padStart(2, "0");
  const clock = (seconds) => {
    const all = Math.max(0, Math.floor(seconds));
    return `${Math.floor(all / 3600)}:${two(Math.floor(all / 60) % 60)}:${two(all % 60)}`;
  };
  const short = (seconds) => {
    const all = Math.max(0, Math.ceil(seconds));
    return all >= 3600 ? clock(all) : `${Math.floor(all / 60)}:${two(all % 60)}`;
  };
  const write = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };

  const tick = () => {
    const now = present();
    for (const face of document.querySelectorAll('[data-tick="now"]')) {
      const moment = new Date(now);
      write(face, `${two(moment.getHours())}:${two(moment.getMinutes())}`);
    }
    for (const up of document.querySelectorAll('[data-tick="up"]')) {
      const since = Date.parse(up.dataset.since);
      const running = Number.isNaN(since) ? 0 : Math.max(0, (now - since) / 1000);
      write(up, clock(Number(up.dataset.base || 0) + running));
    }
    for (const down of document.querySelectorAll('[data-tick="down"]')) {
      const left = (Date.parse(down.dataset.until) - now) / 1000;
      write(down, left > 0 ? `in ${short(left)}` : down.dataset.over ?? "");
    }
    for (const gain of document.querySelectorAll('[data-tick="points"]')) {
      const days = Math.max(0, now - Date.parse(gain.dataset.since)) / 86_400_000;
      write(gain, `+${(days * Number(gain.dataset.perDay)).toFixed(1)}`);
    }
    for (const age of document.querySelectorAll('[data-tick="age"]')) {
      const minutes = Math.floor(Math.max(0, now - Date.parse(age.dataset.since)) / 60_000);
      const days = Math.floor(minutes / 1440);
      write(age, days ? `${days} d` : minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h`);
    }
    for (const rest of document.querySelectorAll('[data-tick="left"]')) {
      write(rest, `${short((Date.parse(rest.dataset.until) - now) / 1000)} left`);
    }
  };

  const localise = () => {
    const today = new Date().toDateString();
    for (const time of document.querySelectorAll("time[datetime]:not([data-local])")) {
      const moment = new Date(time.dateTime);
      if (Number.isNaN(moment.getTime())) continue;
      const hour = `${two(moment.getHours())}:${two(moment.getMinutes())}`;
      const day = moment.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
      time.dataset.local = "";
      time.title = time.dateTime;
      write(time, moment.toDateString() === today ? hour : `${day}, ${hour}`);
    }
  };

  const refresh = () => { localise(); tick(); };
  refresh();
  setInterval(tick, 1000);
  document.addEventListener("smnb:frame", refresh);
  document.addEventListener("htmx:afterSettle", refresh);
})();

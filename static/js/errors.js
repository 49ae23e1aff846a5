// What goes wrong on a page of a session is told to its log: at most ten things a minute, each once.
(() => {
  "use strict";
  const { url, request, public: forAll } = document.currentScript.dataset;
  const MOST = 10;
  const AGAIN_MS = 60000;
  const REFUSALS = [403, 409, 422, 429]; // answers with a sentence for the person, not errors
  const told = new Set();
  let since = 0;

  const cut = (text, most) => String(text ?? "").slice(0, most);

  // Of an address of ours the path, of a foreign one the site: queries are nobody's business.
  const place = (address) => {
    try {
      const found = new URL(address, location.href);
      return found.origin === location.origin ? found.pathname : found.origin;
    } catch {
      return cut(address, 40);
    }
  };

  const post = (body, more) => {
    fetch(url, { method: "POST", body, keepalive: true, ...more }).catch(() => {});
  };

  const send = (report) => {
    const form = new FormData();
    for (const [name, value] of Object.entries(report)) form.append(name, value);
    if (forAll !== undefined) {
      // Without cookies; and no beacon, for which a page without referrer gives no origin.
      post(form, { credentials: "omit" });
      return;
    }
    const token = document.querySelector("[name=csrfmiddlewaretoken]")?.value;
    if (!token) return;
    form.append("csrfmiddlewaretoken", token);
    if (!navigator.sendBeacon(url, form)) post(form);
  };

  const tell = (kind, message, more = {}) => {
    if (Date.now() - since > AGAIN_MS) {
      told.clear();
      since = Date.now();
    }
    const key = `${kind} ${message} ${more.source ?? ""} ${more.line ?? ""}`;
    if (told.has(key) || told.size >= MOST) return;
    told.add(key);
    const report = {
      kind, message: cut(message, 500) || kind, page: cut(location.pathname, 300), asked: request, ...more,
    };
    if (document.readyState === "loading") {
      addEventListener("DOMContentLoaded", () => send(report), { once: true });
    } else send(report);
  };

  addEventListener("error", (event) => {
    if (event.target instanceof Element) {
      const address = event.target.src ?? event.target.href ?? "";
      tell("resource", `${event.target.localName} could not be loaded`, { source: place(address) });
      return;
    }
    tell("error", event.message, {
      source: place(event.filename), line: event.lineno, column: event.colno,
      stack: cut(event.error?.stack, 4000),
    });
  }, true);

  addEventListener("unhandledrejection", ({ reason }) => {
    tell("rejection", reason?.message ?? reason, { stack: cut(reason?.stack, 4000) });
  });

  document.addEventListener("securitypolicyviolation", (event) => {
    const blocked = place(event.blockedURI);
    tell("policy", `${event.effectiveDirective} refused ${blocked}`, {
      source: place(event.sourceFile), line: event.lineNumber, column: event.columnNumber,
    });
  });

  const failed = (what) => (event) => {
    const { xhr, pathInfo } = event.detail;
    if (xhr && REFUSALS.includes(xhr.status)) return;
    const more = { source: place(pathInfo?.requestPath ?? "") };
    if (xhr?.status) more.status = xhr.status;
    const asked = xhr?.getResponseHeader("X-Request-ID");
    if (asked) more.asked = asked;
    tell("request", what, more);
  };
  document.addEventListener("htmx:responseError", failed("An answer was an error"));
  document.addEventListener("htmx:sendError", failed("A request did not arrive"));
  document.addEventListener("htmx:timeout", failed("A request got no answer in time"));
  document.addEventListener("htmx:swapError", failed("An answer could not be shown"));
  document.addEventListener("htmx:targetError", failed("The place of an answer is missing"));
})();

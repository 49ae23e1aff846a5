// Buttons that copy the text in their data-copy, or what is read in the element of data-copy-from.
(() => {
  "use strict";
  const fallback = (text) => {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "sr";
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  };
  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return fallback(text);
    }
  };

  // What is read in an element, without parts that explain it.
  const readIn = (element) => {
    const aside = [...element.querySelectorAll("[data-no-copy]")].filter((part) => !part.hidden);
    for (const part of aside) part.hidden = true;
    const text = element.innerText.trim();
    for (const part of aside) part.hidden = false;
    return text;
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy], [data-copy-from]");
    if (!button) return;
    const { copyFrom } = button.dataset;
    const text = copyFrom ? readIn(document.getElementById(copyFrom)) : button.dataset.copy;
    const copied = await copy(text);
    button.dataset.copied = copied ? "Copied" : "Press Ctrl+C";
    let said = button.nextElementSibling;
    if (!said?.matches(".copied")) {
      said = document.createElement("span");
      said.className = "copied";
      said.setAttribute("role", "status");
      button.after(said);
    }
    said.textContent = copied ? "Copied" : "Could not copy";
    setTimeout(() => { said.textContent = ""; }, 2000);
  });
})();

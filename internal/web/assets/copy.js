// Copy buttons.

import { say, spoken } from "./i18n.js";

const shownFor = 2_000; // milliseconds

/** Makes a button copy the text of the element that its data-copies names. */
export function copies(button) {
  const source = document.getElementById(button.dataset.copies);
  const what = source.parentElement.getAttribute("aria-label");
  let timer = 0;
  const speak = () => {
    button.textContent = say("copy");
    button.setAttribute("aria-label", say("copy.label", what));
  };
  spoken(speak);
  button.addEventListener("click", async () => {
    const done = await copy(source);
    button.textContent = say(done ? "copy.done" : "copy.failed");
    button.setAttribute("aria-label", button.textContent);
    clearTimeout(timer);
    timer = setTimeout(speak, shownFor);
  });
}

// The clipboard is there on https and localhost only. Elsewhere the text is
// selected and the older command tried; if that fails, too, it stands selected.
async function copy(source) {
  try {
    await navigator.clipboard.writeText(source.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(source);
    return document.execCommand("copy");
  }
}

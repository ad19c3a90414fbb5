// Which language the page speaks, and the words of its elements. An element
// says what it shows with data-i18n (text), data-i18n-label (aria-label) or
// data-i18n-placeholder; what changes with the moment registers a listener.

import { strings } from "./strings.js";

const storageKey = "magpie.language";
const listeners = new Set();
let language = "en";

/** The language in use: "en" or "zh-CN". */
export const current = () => language;

/** The string for a key, with what its function takes. */
export function say(key, ...values) {
  const found = strings[language][key] ?? strings.en[key];
  if (found === undefined) throw new Error(`no string for ${key}`);
  return typeof found === "function" ? found(...values) : found;
}

/** Calls f now and after each change of language. */
export function spoken(f) {
  listeners.add(f);
  f();
}

/** The first of the reader's languages that the catalogue has. */
export function preferred(languages, stored) {
  if (stored in strings) return stored;
  for (const tag of languages) {
    if (/^zh\b/i.test(tag)) return "zh-CN";
    if (/^en\b/i.test(tag)) return "en";
  }
  return "en";
}

/** Takes up the reader's language and connects the switch. */
export function start() {
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => choose(button.dataset.language, true));
  }
  choose(preferred(navigator.languages, stored()), false);
}

function choose(next, remember) {
  language = next;
  document.documentElement.lang = next;
  if (remember) store(next);
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === next));
  }
  for (const e of document.querySelectorAll("[data-i18n]")) e.textContent = say(e.dataset.i18n, e.dataset.i18nNumber);
  for (const e of document.querySelectorAll("[data-i18n-label]")) e.setAttribute("aria-label", say(e.dataset.i18nLabel));
  for (const e of document.querySelectorAll("[data-i18n-placeholder]")) e.placeholder = say(e.dataset.i18nPlaceholder);
  for (const f of listeners) f();
}

// Storage may be forbidden by the reader's settings; then the choice lasts for
// the page.
function stored() {
  try { return localStorage.getItem(storageKey) ?? ""; } catch { return ""; }
}

function store(value) {
  try { localStorage.setItem(storageKey, value); } catch { /* as above */ }
}

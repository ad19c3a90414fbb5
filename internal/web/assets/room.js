// The list of messages in the page. Rows are built node by node, text goes in
// as text, and a burst costs one layout per frame: at most maxRows rows stand
// in the document, whatever arrives.

import { current, say, spoken } from "./i18n.js";
import { read } from "./payload.js";

const maxRows = 300;
const tones = 6; // of the style sheet's avatars
const nearEnd = 100; // pixels from the end that still count as reading the newest

const list = document.getElementById("messages");
const scroll = document.getElementById("scroll");
const latest = document.getElementById("latest");
const empty = document.getElementById("empty");
const pending = document.getElementById("pending");

let waiting = []; // rows for the next frame
let unseen = 0;

/** Puts a row of the feed at the end of the list. */
export function add(row) {
  if (waiting.push(row) > maxRows) waiting.shift(); // a hidden tab draws no frames
  if (waiting.length === 1) requestAnimationFrame(draw);
}

/** Says that the history is here, so that an empty room may say it is empty. */
export function settled() {
  requestAnimationFrame(() => { empty.hidden = list.childElementCount + pending.childElementCount > 0; });
}

/** Goes to the newest message. */
export function toEnd() {
  scroll.scrollTop = scroll.scrollHeight;
  unseen = 0;
  showLatest();
}

function draw() {
  const follow = atEnd();
  unseen += follow ? 0 : waiting.filter((r) => r.live).length;
  list.append(...waiting.map(build));
  waiting = [];
  const before = scroll.scrollHeight;
  while (list.childElementCount > maxRows) list.firstElementChild.remove();
  empty.hidden = true;
  // A reader further up keeps the lines under their eyes where they are.
  if (follow) toEnd();
  else scroll.scrollTop -= before - scroll.scrollHeight;
  showLatest();
}

const atEnd = () => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < nearEnd;

function showLatest() {
  latest.hidden = atEnd();
  latest.textContent = unseen > 0 ? say("latest", unseen) : say("latest.none");
}

function build(row) {
  if (row.kind === "gap") return phrase(element("li", "gap"), row.filled ? "gap" : "gap.unfilled");
  const { message } = row;
  const said = read(message);
  const item = element("li", "message");
  item.append(avatar(said.author, message.via), head(message, said), body(said));
  return item;
}

function head(message, said) {
  const line = element("p", "message-head");
  const author = element("bdi", "author");
  if (said.author === null) phrase(author, `from.${known(message.via)}`);
  else author.textContent = said.author;
  line.append(author);
  if (!said.claimed) line.append(verified());
  if (message.via in viaClass) line.append(phrase(element("span", `via ${viaClass[message.via]}`), `via.${message.via}`));
  line.append(clock(message.time ?? Date.now()));
  return line;
}

// The server vouches for this name; any other is what its publisher wrote.
function verified() {
  const mark = element("span", "verified");
  mark.setAttribute("role", "img");
  mark.dataset.i18nLabel = "verified";
  mark.setAttribute("aria-label", say("verified"));
  mark.textContent = "✓";
  return mark;
}

function body(said) {
  const paragraph = element("p", "text");
  paragraph.dir = "auto"; // isolates: a right-to-left override ends here
  if (said.bytes > 0) {
    paragraph.classList.add("binary");
    return phrase(paragraph, "binary", said.bytes);
  }
  paragraph.textContent = said.text;
  if (said.cut > 0) paragraph.append(" ", phrase(element("span", "cut"), "cut", said.cut));
  return paragraph;
}

const viaClass = { http: "via-http", raw: "via-client", plain: "via-redis", fcall: "via-redis", xadd: "via-redis", sdk: "via-client" };
const known = (via) => (via in viaClass ? via : "unknown");

function avatar(author, via) {
  const badge = element("span", "avatar");
  badge.setAttribute("aria-hidden", "true");
  badge.textContent = [...(author ?? say(`from.${known(via)}`)).trim()][0].toUpperCase();
  badge.dataset.tone = String(tone(author ?? via ?? ""));
  return badge;
}

// The same name has the same tone in every browser.
function tone(name) {
  let hash = 2166136261; // FNV-1a
  for (const c of name) hash = Math.imul(hash ^ c.codePointAt(0), 16777619);
  return (hash >>> 4) % tones;
}

function clock(milliseconds) {
  const time = element("time");
  time.dateTime = new Date(milliseconds).toISOString();
  writeTime(time);
  return time;
}

function writeTime(time) {
  const at = new Date(time.dateTime);
  time.textContent = at.toLocaleTimeString(current(), { timeStyle: "short" });
  time.title = at.toLocaleString(current(), { dateStyle: "full", timeStyle: "medium" });
}

// A phrase remembers its key and number, so that the switch finds it again.
function phrase(e, key, number) {
  e.dataset.i18n = key;
  if (number !== undefined) e.dataset.i18nNumber = String(number);
  e.textContent = say(key, number);
  return e;
}

function element(tag, className) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  return e;
}

/** Connects the button, the scrolling and the language. */
export function start() {
  latest.addEventListener("click", toEnd);
  scroll.addEventListener("scroll", () => {
    if (atEnd()) unseen = 0;
    showLatest();
  }, { passive: true });
  spoken(() => {
    list.querySelectorAll("time").forEach(writeTime);
    showLatest();
  });
}

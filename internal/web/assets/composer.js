// The field in which the reader writes, and what they sent that has not come
// back yet. The server's word for "published" is the message itself: it comes
// back to its sender, and carries the id that this file gave it.

import { say, spoken } from "./i18n.js";

const longestLines = 8;

const form = document.getElementById("composer");
const text = document.getElementById("text");
const name = document.getElementById("name");
const button = document.getElementById("send-message");
const list = document.getElementById("pending");

const sent = new Map(); // id → {frame, content, row}
let send = () => false;
let shown = () => {};

/**
 * Connects the field. publish(frame) tells whether the frame went out; onShown
 * is called when what was sent stands in the page.
 */
export function start(publish, onShown) {
  send = publish;
  shown = onShown;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  text.addEventListener("keydown", onKey);
  text.addEventListener("input", grow);
  const number = 10 + Math.floor(Math.random() * 90);
  let typed = false;
  name.addEventListener("input", () => { typed = true; });
  spoken(() => {
    if (!typed) name.value = say("guest", number);
    for (const { row } of sent.values()) row.speak();
  });
}

/** Lets the reader send, or not: what they wrote stays in the field. */
export function setConnected(connected) {
  button.disabled = !connected;
  if (!connected) doubt();
}

/** Tells that nobody knows whether what waits for its echo was published. */
export function doubt() {
  for (const { row } of sent.values()) row.setUnsure();
}

/** Takes note that a message came back. */
export function confirm(id) {
  sent.get(id)?.row.remove();
  sent.delete(id);
}

/** What waits for its echo was not published: its text goes back to the field. */
export function refuse() {
  const contents = [...sent.values()].map(({ content }) => content);
  text.value = [...contents, text.value].filter((s) => s !== "").join("\n");
  for (const id of [...sent.keys()]) confirm(id);
  grow();
}

function onKey(event) {
  // Enter during an input method's composition belongs to the input method;
  // Safari ends the composition first and is told by keyCode 229 only.
  if (event.isComposing || event.keyCode === 229) return;
  if (event.key !== "Enter" || event.shiftKey) return;
  event.preventDefault();
  submit();
}

function submit() {
  const content = text.value;
  if (content.trim() === "") return;
  const id = crypto.getRandomValues(new Uint32Array(2)).reduce((s, n) => s + n.toString(36), "");
  const frame = JSON.stringify({ name: name.value.trim() || undefined, content, id });
  if (!send(frame)) return;
  sent.set(id, { frame, content, row: createRow(id, content) });
  text.value = "";
  grow();
  text.focus();
  shown();
}

function grow() {
  const line = parseFloat(getComputedStyle(text).lineHeight);
  text.style.height = "auto";
  text.style.height = `${Math.min(text.scrollHeight, line * longestLines)}px`;
}

// One row below the list: sending, or not confirmed with two ways out.
function createRow(id, content) {
  const item = document.createElement("li");
  item.className = "pending";
  const said = Object.assign(document.createElement("p"), { className: "text", textContent: content, dir: "auto" });
  const state = Object.assign(document.createElement("span"), { className: "pending-state" });
  const again = Object.assign(document.createElement("button"), { type: "button", className: "link", hidden: true });
  const discard = Object.assign(document.createElement("button"), { type: "button", className: "link", hidden: true });
  item.append(said, state, again, discard);
  let unsure = false;
  const row = {
    remove: () => item.remove(),
    setUnsure: () => { unsure = true; row.speak(); },
    speak() {
      state.textContent = say(unsure ? "pending.unsure" : "pending.sending");
      again.textContent = say("pending.again");
      discard.textContent = say("pending.discard");
      again.hidden = discard.hidden = !unsure;
    },
  };
  again.addEventListener("click", () => {
    if (!send(sent.get(id).frame)) return;
    unsure = false;
    row.speak();
    text.focus();
  });
  discard.addEventListener("click", () => {
    confirm(id);
    text.focus();
  });
  row.speak();
  list.append(item);
  return row;
}

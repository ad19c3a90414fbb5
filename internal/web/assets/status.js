// The line that says how the connection is.

import { say, spoken } from "./i18n.js";

const line = document.querySelector(".connection");
const words = document.getElementById("connection");
const spokenWords = document.getElementById("connection-spoken");
const retry = document.getElementById("retry");

let state = { name: "connecting" };
let timer = 0;
let said = ""; // the name of the state that was read out last

/** Shows a state of connection.js, or {name: "locked"}. */
export function show(next) {
  state = next;
  clearInterval(timer);
  if (state.name === "waiting") timer = setInterval(write, 1_000);
  write();
}

/** Connects the button that tries at once. */
export function start(onRetry) {
  retry.addEventListener("click", onRetry);
  spoken(() => {
    said = "";
    write();
  });
}

function write() {
  line.dataset.state = state.name;
  retry.hidden = state.name !== "waiting" && state.name !== "stopped";
  words.textContent = sentence();
  // A countdown read out each second would drown everything else.
  if (said !== state.name) spokenWords.textContent = sentence();
  said = state.name;
}

function sentence() {
  switch (state.name) {
    case "waiting": return say("state.waiting", Math.max(1, Math.ceil((state.until - Date.now()) / 1_000)));
    case "stopped": return say("state.stopped", state.code);
    default: return say(`state.${state.name}`);
  }
}

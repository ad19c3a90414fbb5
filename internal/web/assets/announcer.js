// Reads new messages out to screen readers: live ones only, never the
// history, never one's own, and a burst as one number.

import { say } from "./i18n.js";

const pause = 1_000; // milliseconds that a burst is gathered

const region = document.getElementById("announcer");
let gathered = [];

/** Announces a message that somebody else sent. */
export function announce(author, text) {
  if (gathered.push([author, text]) > 1) return;
  setTimeout(() => {
    region.textContent = gathered.length === 1 ? say("announce", ...gathered[0]) : say("announce.many", gathered.length);
    gathered = [];
  }, pause);
}

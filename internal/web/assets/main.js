// Puts the first page together: feed and connection on one side, the parts of
// the page on the other.

import { announce } from "./announcer.js";
import * as composer from "./composer.js";
import { connect, Refused } from "./connection.js";
import { createFeed, HistoryError } from "./feed.js";
import { isRefused, readHistory } from "./history.js";
import * as i18n from "./i18n.js";
import { read } from "./payload.js";
import * as room from "./room.js";
import * as status from "./status.js";
import * as token from "./token.js";
import * as ways from "./ways.js";

const { channel, redisCli: redisCLI, open } = document.body.dataset;
const tooBig = 1009; // RFC 6455, section 7.4.1

const feed = createFeed({
  readHistory: () => readHistory(channel, token.current()),
  onRow(row) {
    if (row.kind === "message") heard(row);
    room.add(row);
  },
  onError,
});

// own are the ids of what this tab sent: they are not read out to its reader.
const own = new Set();

function heard({ message, live }) {
  const said = read(message);
  composer.confirm(said.id);
  if (live && !own.delete(said.id)) announce(said.author ?? i18n.say(`via.${message.via ?? "raw"}`), said.text.slice(0, 200));
}

// What these say is "try again": the message may be published or not. After
// any other error it is not.
const unsure = new Set(["unavailable", "shutdown", "internal"]);

function onError({ code, message }) {
  if (unsure.has(code)) composer.doubt();
  else composer.refuse();
  complain(String(message));
}

async function prepare(shut) {
  if (shut && await isRefused(channel, token.current())) throw new Refused();
  try {
    await feed.ready();
  } catch (failure) {
    throw failure instanceof HistoryError && failure.status === 401 ? new Refused() : failure;
  }
  room.settled();
  const query = new URLSearchParams({ channel, format: "envelope" });
  if (feed.since()) query.set("since", feed.since());
  if (token.current()) query.set("token", token.current());
  return `${location.origin.replace(/^http/, "ws")}/websocket?${query}`;
}

function onState(state) {
  composer.setConnected(state.name === "open");
  if (state.code === tooBig) {
    composer.refuse();
    complain(i18n.say("composer.tooBig"));
  }
  if (state.name === "open") ask(false);
  const locked = state.name === "stopped" && (state.refused || open !== "true");
  if (locked) ask(true);
  status.show(locked ? { name: "locked" } : state);
}

const form = document.getElementById("token-form");
const field = document.getElementById("token");
const alert = document.getElementById("alert");

function ask(shown) {
  form.hidden = !shown;
  if (!shown) return;
  if (token.current()) complain(i18n.say("token.refused"));
  token.keep("");
}

function complain(sentence) {
  alert.textContent = sentence;
  clearTimeout(complain.timer);
  complain.timer = setTimeout(() => { alert.textContent = ""; }, 10_000);
}

i18n.start();
token.start();
room.start();
ways.start({ channel, redisCLI, open: open === "true" });

const connection = connect({
  prepare,
  open: (url) => new WebSocket(url),
  clock: {
    now: () => Date.now(),
    after: (ms, f) => {
      const timer = setTimeout(f, ms);
      return () => clearTimeout(timer);
    },
  },
  random: Math.random,
  onFrame: feed.frame,
  onState,
});

composer.start((frame) => {
  const went = connection.send(frame);
  if (went) own.add(JSON.parse(frame).id);
  return went;
}, room.toEnd);
status.start(connection.retry);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  token.keep(field.value.trim());
  field.value = "";
  connection.retry();
});

// Back from sleep or from another network the old socket may be dead and not
// know it; resuming costs one handshake and repeats nothing.
addEventListener("online", connection.refresh);
addEventListener("visibilitychange", () => { if (!document.hidden) connection.retry(); });

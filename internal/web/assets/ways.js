// The commands of the first page, for the host that the reader sees.

import { say, spoken } from "./i18n.js";
import { copies } from "./copy.js";

const defaultChannel = "chat"; // of the raw door

// One shell command over several lines, short enough not to be wrapped.
const lines = (...parts) => parts.join(" \\\n  ");

// Names such as $orders and user#42 mean something else to a shell. No channel
// name has a quote.
const quoted = (name) => (/^[\w.:-]+$/.test(name) ? name : `'${name}'`);

/** The commands by element id. Pure. */
export function commands({ origin, channel, redisCLI, open, hello }) {
  // Stands in single quotes of a shell; hello must not have any.
  const json = (from) => JSON.stringify({ content: hello(from) });
  const key = open ? [] : ["-H 'X-API-Key: YOUR_KEY'"];
  const query = new URLSearchParams(channel === defaultChannel ? {} : { channel });
  if (!open) query.set("token", "YOUR_TOKEN");
  const socket = `${origin.replace(/^http/, "ws")}/websocket${query.size > 0 ? `?${query}` : ""}`;
  return {
    "way-redis": lines(`${redisCLI} PUBLISH ${quoted(channel)}`, `'${json("Redis")}'`),
    "way-curl": lines(`curl ${origin}/publish/${encodeURIComponent(channel)}`,
      "-H 'Content-Type: application/json'", ...key, `-d '${json("curl")}'`),
    "way-js": [
      "const ws = new WebSocket(",
      `  "${socket}");`,
      "ws.onmessage = (e) => console.log(e.data);",
      "ws.onopen = () => ws.send(",
      `  '${json("JavaScript")}');`,
    ].join("\n"),
    "way-serve": "magpie serve --redis redis://localhost:6379",
  };
}

/** Writes the commands into the page and connects their copy buttons. */
export function start({ channel, redisCLI, open }) {
  spoken(() => {
    const all = commands({ origin: location.origin, channel, redisCLI, open, hello: (from) => say("hello", from) });
    for (const [id, command] of Object.entries(all)) {
      const code = document.getElementById(id);
      if (code) code.textContent = command;
    }
  });
  document.querySelectorAll("[data-copies]").forEach(copies);
}

// One channel as the reader sees it: every message once, in order, from the
// history and from the socket. It has no DOM; what comes out are rows:
//   {kind: "message", message, live} and {kind: "gap", filled}.
//
// The order of opening leaves no window: the history is read first, and the
// socket then asks for what came after the position that the history named.

/** Tells why a history could not be read; status 0 when nobody answered. */
export class HistoryError extends Error {
  constructor(status) {
    super(`history: ${status}`);
    this.status = status;
  }
}

const afterPosition = (position, message) =>
  !position || !message.offset || message.epoch !== position.epoch || message.offset > position.offset;

/**
 * readHistory() resolves to {messages (oldest first), position or null}, or
 * rejects with HistoryError. onRow gets each row, onError each error frame.
 */
export function createFeed({ readHistory, onRow, onError = () => {} }) {
  let position = null; // of the last message shown: {epoch, offset}
  let loaded = false;
  let held = null; // frames that wait until a gap is filled

  function accept(message, live) {
    if (!afterPosition(position, message)) return;
    if (message.offset) position = { epoch: message.epoch, offset: message.offset };
    onRow({ kind: "message", message, live });
  }

  async function load() {
    const history = await readHistory();
    for (const message of history.messages) accept(message, false);
    if (history.position) position = history.position;
    loaded = true;
  }

  // What the log still has after a gap is read like the history on opening;
  // frames that come meanwhile wait, so that order holds. The position moves on
  // at once: a reconnect in between must not meet the same gap again.
  async function fill(now) {
    const before = position;
    position = now;
    held = [];
    let filled = true;
    let messages = [];
    try {
      messages = (await readHistory()).messages;
    } catch {
      filled = false;
    }
    onRow({ kind: "gap", filled });
    for (const message of messages) {
      // What lies after now comes through the socket and is left to it.
      if (message.offset <= now.offset && afterPosition(before, message)) onRow({ kind: "message", message, live: false });
    }
    const waiting = held;
    held = null;
    waiting.forEach(handle);
  }

  function handle(frame) {
    if (held) held.push(frame);
    else if (frame.gap) fill(frame.gap.now);
    else if (frame.error) onError(frame.error);
    else accept(frame, true);
  }

  return {
    /** Reads the history once; later calls return at once. */
    ready: async () => { if (!loaded) await load(); },
    /** Where to resume, as EPOCH.OFFSET; "" when the channel has no log. */
    since: () => (position ? `${position.epoch}.${position.offset}` : ""),
    /** Takes a text frame of the envelope format. */
    frame(text) {
      let frame;
      try { frame = JSON.parse(text); } catch { return; }
      if (frame !== null && typeof frame === "object") handle(frame);
    },
  };
}

// Keeps one WebSocket up: connects, and after a loss comes back with full
// jitter. It has no DOM and no clock of its own, so tests drive it by hand.

const baseDelay = 500; // milliseconds; the window doubles from here
const maxDelay = 20_000; // as the official Centrifuge clients
const connectTimeout = 10_000;
const stableAfter = 5_000; // open for so long: the next loss starts from baseDelay

/** Close codes after which the server does not want this client back. */
export const isFinal = (code) => code >= 4500 && code <= 4999;

/** A failure of prepare after which trying again makes no sense. */
export class Refused extends Error {}

/**
 * Starts at once and returns {send, retry, refresh, stop}.
 *
 * prepare(shut) resolves to the URL of the next attempt; it may read the
 * history first. shut tells that the last socket closed before it opened: the
 * browser does not say why, so a prepare that can find out should. open(url) returns a WebSocket. clock is {now(), after(ms, f) → cancel}.
 * random() is in [0, 1). onFrame(text) gets each text frame, in order, never
 * after stop. onState gets {name: "connecting" | "open"}, {name: "waiting",
 * until} or {name: "stopped", code, reason, refused}.
 */
export function connect({ prepare, open, clock, random, onFrame, onState }) {
  let attempts = 0;
  let socket = null;
  let cancelTimer = () => {};
  let shut = false;
  let generation = 0; // what belongs to an earlier attempt is not heard

  async function attempt() {
    const mine = ++generation;
    cancelTimer();
    onState({ name: "connecting" });
    let url;
    try {
      url = await prepare(shut);
    } catch (failure) {
      if (mine !== generation) return;
      if (failure instanceof Refused) return stopped({ refused: true });
      return wait();
    }
    if (mine === generation) join(open(url), mine);
  }

  function join(s, mine) {
    socket = s;
    let openedAt = null;
    cancelTimer = clock.after(connectTimeout, () => lost({ code: 1006, reason: "" }));
    const lost = ({ code, reason }) => {
      if (mine !== generation) return;
      drop();
      shut = openedAt === null;
      if (openedAt !== null && clock.now() - openedAt >= stableAfter) attempts = 0;
      if (isFinal(code)) return stopped({ code, reason });
      wait(code);
    };
    s.onopen = () => {
      if (mine !== generation) return;
      cancelTimer();
      openedAt = clock.now();
      onState({ name: "open" });
    };
    s.onmessage = (event) => { if (mine === generation) onFrame(event.data); };
    s.onclose = lost;
  }

  // The whole window is drawn from, not its upper half: after a restart the
  // clients of a node then come back evenly spread.
  function wait(code) {
    const window = Math.min(maxDelay, baseDelay * 2 ** attempts++);
    const delay = Math.round(random() * window);
    cancelTimer = clock.after(delay, attempt);
    onState({ name: "waiting", until: clock.now() + delay, code });
  }

  function drop() {
    generation++;
    cancelTimer();
    socket?.close();
    socket = null;
  }

  function stopped(why) {
    generation++;
    cancelTimer();
    onState({ name: "stopped", ...why });
  }

  attempt();
  return {
    /** Sends a text frame if the socket is open; tells whether it was. */
    send(text) {
      if (!socket || socket.readyState !== 1) return false;
      socket.send(text);
      return true;
    },
    /** Tries now instead of later; does nothing while a socket is up or coming up. */
    retry() {
      if (!socket) attempt();
    },
    /** Leaves a socket that may be dead without knowing it, and comes back. */
    refresh() {
      drop();
      attempt();
    },
    stop: drop,
  };
}

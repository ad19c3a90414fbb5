// The state of the connection, and what the reader is told of it. Pure: the
// time is an argument.
//
// 1. Nothing is said for the first 2 s: most losses are over by then.
// 2. After that the banner says how long until the next attempt, and has a
//    button that tries at once.

/** since: when the connection was lost. until: when the next attempt starts. */
export type ConnectionState =
  | { readonly name: "connecting"; readonly since: number }
  | { readonly name: "waiting"; readonly since: number; readonly until: number }
  | { readonly name: "online"; readonly client: string }
  | { readonly name: "stopped"; readonly code: number; readonly reason: string };

export type Banner =
  | { readonly say: "nothing" }
  | { readonly say: "connecting" | "reconnecting" | "offline"; readonly retry: boolean }
  | { readonly say: "waiting"; readonly seconds: number; readonly retry: true }
  | { readonly say: "stopped"; readonly retry: true };

const bannerDelay = 2_000; // milliseconds

export function bannerFor(state: ConnectionState, now: number, hasNetwork: boolean, wasOnline: boolean): Banner {
  if (state.name === "online") return { say: "nothing" };
  if (state.name === "stopped") return { say: "stopped", retry: true };
  if (now - state.since < bannerDelay) return { say: "nothing" };
  if (!hasNetwork) return { say: "offline", retry: false };
  if (state.name === "waiting" && state.until > now) return { say: "waiting", seconds: Math.ceil((state.until - now) / 1000), retry: true };
  return { say: wasOnline ? "reconnecting" : "connecting", retry: false };
}

/** The next state. An attempt that fails does not change when the connection was lost. */
export function stateAfter(before: ConnectionState, next: ConnectionState): ConnectionState {
  if (next.name !== "connecting" && next.name !== "waiting") return next;
  if (before.name !== "connecting" && before.name !== "waiting") return next;
  return { ...next, since: before.since };
}

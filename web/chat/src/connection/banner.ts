// What the reader is told about the connection. Pure: the time comes in.
//
// 1. Nothing for the first 2 s: most losses are over before they are news.
// 2. Then how long until the next attempt, with a way to make it now.

import type { Line } from "../client/link.ts";

export type Banner =
  | { readonly say: "nothing" }
  | { readonly say: "connecting" | "reconnecting" | "offline"; readonly retry: boolean }
  | { readonly say: "waiting"; readonly seconds: number; readonly retry: true }
  | { readonly say: "stopped"; readonly retry: true };

export const silence = 2_000; // milliseconds

export function bannerFor(line: Line, now: number, hasNetwork: boolean, wasOnline: boolean): Banner {
  if (line.name === "online") return { say: "nothing" };
  if (line.name === "stopped") return { say: "stopped", retry: true };
  if (now - line.since < silence) return { say: "nothing" };
  if (!hasNetwork) return { say: "offline", retry: false };
  if (line.name === "waiting" && line.until > now) return { say: "waiting", seconds: Math.ceil((line.until - now) / 1000), retry: true };
  return { say: wasOnline ? "reconnecting" : "connecting", retry: false };
}

/**
 * When the loss began. A new attempt that fails does not begin the silence
 * anew.
 */
export function lineAfter(before: Line, next: Line): Line {
  if (next.name !== "connecting" && next.name !== "waiting") return next;
  if (before.name !== "connecting" && before.name !== "waiting") return next;
  return { ...next, since: before.since };
}

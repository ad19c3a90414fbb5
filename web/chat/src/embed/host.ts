// The page that embeds the app in a frame. Messages go to its origin only, which
// the server's policy has allowed.
//
// Messages, all {magpie: 1, type: …}. To the page: "ready", "token" (send a
// new one), "unread" {count}. From the page: "token" {token}.

import { effect } from "@preact/signals";
import type { App } from "../control/app.ts";
import { unreadCount } from "../state/bell.ts";

const timeout = 5_000; // milliseconds in which the page has to send a token

export interface Host {
  readonly origin: string;
  /** The page's token, or "" when it has none. */
  firstToken(): Promise<string>;
  newToken(): Promise<string>;
  /** Tells the page how much is unread, and takes new tokens from it. */
  follow(app: App): void;
}

/** The embedding page; null when there is none. */
export function hostOf(self: Window): Host | null {
  const origin = originOf(document.referrer, self.location);
  if (self.parent === self || origin === null) return null;
  const say = (message: object) => self.parent.postMessage({ magpie: 1, ...message }, origin);
  const waiting: ((token: string) => void)[] = [];
  let taken: ((token: string) => void) | null = null;
  self.addEventListener("message", (e: MessageEvent<unknown>) => {
    if (e.source !== self.parent || e.origin !== origin) return;
    const m = e.data as { magpie?: unknown; type?: unknown; token?: unknown } | null;
    if (m?.magpie !== 1 || m.type !== "token" || typeof m.token !== "string" || m.token.length > 16_384) return;
    const next = waiting.splice(0);
    if (next.length > 0) next.forEach((f) => f(m.token as string));
    else if (m.token !== "") taken?.(m.token);
  });
  const ask = (type: string) => new Promise<string>((resolve) => {
    waiting.push(resolve);
    setTimeout(() => resolve(""), timeout);
    say({ type });
  });
  return {
    origin,
    firstToken: () => ask("ready"),
    newToken: () => ask("token"),
    follow(app) {
      taken = (token) => app.useToken(token);
      effect(() => say({ type: "unread", count: app.unread.value + unreadCount(app.bell.bell.value) }));
    },
  };
}

function originOf(referrer: string, self: Location): string | null {
  const named = new URLSearchParams(self.search).get("origin") ?? referrer;
  try {
    const { origin, protocol } = new URL(named);
    return protocol === "http:" || protocol === "https:" ? origin : null;
  } catch {
    return null;
  }
}

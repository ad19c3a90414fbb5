// What the app asks over HTTP: guest tokens and pages of history, which hold
// the time and the way in of every message.

import type { WireMessage } from "../state/message.ts";
import { keyOf, type Position } from "../state/position.ts";

/** The server answered and refused. */
export class Refused extends Error {
  constructor(readonly status: number, message: string) { super(message); }
}

export interface Page {
  readonly messages: readonly WireMessage[]; // in the log's order
  readonly epoch: string;
  readonly offset: number; // of the newest entry in the log
  readonly gap: boolean;
  readonly more: boolean; // another page follows: a page may hold less than was asked for
}

export interface PageQuery {
  readonly since?: Position;
  readonly limit: number;
  readonly reverse?: boolean;
}

export interface Guest {
  readonly token: string;
  readonly user: string;
  readonly name: string;
  readonly color: number;
  readonly expires: number; // Unix seconds
}

/** What the app asks of the server's HTTP API; both reject with Refused, or a network's error. */
export interface API {
  /** A page of a channel's log. */
  history(channel: string, token: string, query: PageQuery): Promise<Page>;
  /** A token for a new guest, or for the known one with a new name or more time. */
  guest(token: string, name: string): Promise<Guest>;
}

const timeout = 8_000; // milliseconds

async function request(url: string, init: RequestInit): Promise<unknown> {
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(timeout), cache: "no-store" });
  if (!response.ok) throw new Refused(response.status, await reasonOf(response));
  return response.json();
}

async function reasonOf(response: Response): Promise<string> {
  try {
    const body = (await response.json()) as { error?: { message?: unknown } };
    return typeof body.error?.message === "string" ? body.error.message : "";
  } catch {
    return "";
  }
}

export const httpAPI: API = {
  async history(channel, token, { since, limit, reverse = false }) {
    const query = new URLSearchParams({ limit: String(limit) });
    if (since) query.set("since", keyOf(since.epoch, since.offset));
    if (reverse) query.set("reverse", "true");
    // Authorization is for a proxy that may ask for a password.
    const headers: Record<string, string> = token === "" ? {} : { "X-Magpie-Token": token };
    const body = (await request(`/history/${encodeURIComponent(channel)}?${query}`, { headers })) as {
      messages: WireMessage[]; epoch: string; offset: number; gap?: unknown; next?: string;
    };
    const messages = reverse ? body.messages.reverse() : body.messages;
    return { messages, epoch: body.epoch ?? "", offset: body.offset ?? 0, gap: body.gap !== undefined, more: body.next !== undefined };
  },

  async guest(token, name) {
    const body = JSON.stringify({ ...(token === "" ? {} : { token }), ...(name === "" ? {} : { name }) });
    return (await request("/guest", { method: "POST", headers: { "Content-Type": "application/json" }, body })) as Guest;
  },
};

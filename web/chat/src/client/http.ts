// What the app asks over HTTP: guest tokens and pages of history, which hold
// the time and the way in of every message.

import type { Wire } from "../state/message.ts";
import type { Place } from "./link.ts";

/** The server answered, and it was no. */
export class Refused extends Error {
  constructor(readonly status: number, message: string) { super(message); }
}

export interface Page {
  readonly messages: readonly Wire[]; // in the log's order
  readonly epoch: string;
  readonly offset: number; // of the newest entry in the log
  readonly gap: boolean;
}

export interface Guest {
  readonly token: string;
  readonly user: string;
  readonly name: string;
  readonly color: number;
  readonly expires: number; // Unix seconds
}

export interface Ask {
  readonly since?: Place;
  readonly limit: number;
  readonly reverse?: boolean;
}

const patience = 8_000; // milliseconds until an answer is given up

async function ask(url: string, init: RequestInit): Promise<unknown> {
  const answer = await fetch(url, { ...init, signal: AbortSignal.timeout(patience), cache: "no-store", credentials: "omit" });
  if (!answer.ok) throw new Refused(answer.status, await reasonOf(answer));
  return answer.json();
}

async function reasonOf(answer: Response): Promise<string> {
  try {
    const body = (await answer.json()) as { error?: { message?: unknown } };
    return typeof body.error?.message === "string" ? body.error.message : "";
  } catch {
    return "";
  }
}

/** A page of a channel's log. Rejects with Refused, or a network's error. */
export async function history(channel: string, token: string, { since, limit, reverse = false }: Ask): Promise<Page> {
  const query = new URLSearchParams({ limit: String(limit) });
  if (since) query.set("since", `${since.epoch}.${since.offset}`);
  if (reverse) query.set("reverse", "true");
  const headers: Record<string, string> = token === "" ? {} : { Authorization: `Bearer ${token}` };
  const body = (await ask(`/history/${encodeURIComponent(channel)}?${query}`, { headers })) as {
    messages: Wire[]; epoch: string; offset: number; gap?: unknown;
  };
  const messages = reverse ? body.messages.reverse() : body.messages;
  return { messages, epoch: body.epoch ?? "", offset: body.offset ?? 0, gap: body.gap !== undefined };
}

/** A token for a new guest, or for the known one with a new name or more time. */
export async function guest(token: string, name: string): Promise<Guest> {
  const body = JSON.stringify({ ...(token === "" ? {} : { token }), ...(name === "" ? {} : { name }) });
  return (await ask("/guest", { method: "POST", headers: { "Content-Type": "application/json" }, body })) as Guest;
}

// Messages that wait to be sent. They survive a reload, are sent in order, and
// keep their id through every attempt.
//
// 1. One message of a room is sent at a time: the next one follows when the log
//    has it, or its writer discards it.
// 2. When the answer to an attempt was lost, the log is searched before the
//    message is sent again.
// 3. A message that the server refuses stays, marked as failed, until its
//    writer retries or discards it.

import { isPosition, type Position } from "./position.ts";

export interface OutboxEntry {
  readonly id: string;
  readonly room: string;
  readonly content: string;
  readonly re: string | null;
  readonly written: number; // Unix milliseconds
  readonly state: "waiting" | "sending" | "unsure" | "failed";
  /** The end of the log before the first attempt; null: never tried. */
  readonly since: Position | null;
  readonly reason: string; // why it failed; "" otherwise
}

export type Outbox = readonly OutboxEntry[];

export const add = (box: Outbox, entry: Pick<OutboxEntry, "id" | "room" | "content" | "re" | "written">): Outbox =>
  [...box, { ...entry, state: "waiting", since: null, reason: "" }];

/** The entry to send now: the first one of a room that can be sent to and in which none is being sent. */
export function next(box: Outbox, canSendTo: (room: string) => boolean = () => true): OutboxEntry | null {
  const busy = new Set<string>();
  for (const entry of box) {
    if (entry.state === "failed") continue;
    if (entry.state === "sending") busy.add(entry.room);
    else if (!busy.has(entry.room) && canSendTo(entry.room)) return entry;
    busy.add(entry.room);
  }
  return null;
}

const change = (box: Outbox, id: string, to: Partial<OutboxEntry>): Outbox =>
  box.map((e) => (e.id === id ? { ...e, ...to } : e));

export const sending = (box: Outbox, id: string, since: OutboxEntry["since"]): Outbox =>
  box.map((e) => (e.id === id ? { ...e, state: "sending", since: e.since ?? since } : e));

/** The answer was lost: it may be in the log or not. */
export const unsure = (box: Outbox, id: string): Outbox => change(box, id, { state: "unsure" });

export const waiting = (box: Outbox, id: string): Outbox => change(box, id, { state: "waiting", reason: "" });

export const failed = (box: Outbox, id: string, reason: string): Outbox => change(box, id, { state: "failed", reason });

/** It is in the log, or its writer discards it. */
export const remove = (box: Outbox, id: string): Outbox => {
  const left = box.filter((e) => e.id !== id);
  return left.length === box.length ? box : left;
};

/** The connection is lost: what was being sent may be in the log or not. */
export const interrupted = (box: Outbox): Outbox =>
  box.some((e) => e.state === "sending") ? box.map((e) => (e.state === "sending" ? { ...e, state: "unsure" as const } : e)) : box;

const maxEntries = 200; // no person writes more without a connection

export const save = (box: Outbox): string => JSON.stringify(box.slice(-maxEntries));

/** Reads what save wrote; anything else is an empty outbox. */
export function load(text: string | null): Outbox {
  let list: unknown;
  try {
    list = JSON.parse(text ?? "[]");
  } catch {
    return [];
  }
  if (!Array.isArray(list)) return [];
  return interrupted(list.flatMap((e): OutboxEntry[] => (isEntry(e) ? [e] : [])).slice(-maxEntries));
}

function isEntry(v: unknown): v is OutboxEntry {
  if (v === null || typeof v !== "object") return false;
  const e = v as Record<string, unknown>;
  return typeof e.id === "string" && typeof e.room === "string" && typeof e.content === "string" &&
    typeof e.written === "number" && typeof e.reason === "string" && (e.re === null || typeof e.re === "string") &&
    ["waiting", "sending", "unsure", "failed"].includes(e.state as string) && (e.since === null || isPosition(e.since));
}

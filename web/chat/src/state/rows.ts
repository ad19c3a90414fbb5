// The rows of the list for a part of a room's items: the items, day separators
// and the unread divider. head: the message has its author above it.

import type { Item, Room } from "./room.ts";
import { type Message, personOf } from "./message.ts";

export type Row =
  | { readonly type: "day"; readonly key: string; readonly time: number }
  | { readonly type: "unread"; readonly key: string }
  | { readonly type: "message"; readonly key: string; readonly message: Message; readonly head: boolean }
  | { readonly type: "other"; readonly key: string; readonly item: Exclude<Item, Message> };

const groupTime = 5 * 60_000; // milliseconds

/**
 * Rows for items[start, end). They depend on what is before start too, so that
 * a row has the same height wherever the window starts.
 */
export function rowsOf(items: readonly Item[], start: number, end: number, unread: string | null): Row[] {
  const rows: Row[] = [];
  let before = lastMessage(items, start);
  let broken = start > 0 && items[start - 1]!.kind !== "message";
  for (let i = start; i < end; i++) {
    const item = items[i]!;
    if (item.kind !== "message") {
      rows.push({ type: "other", key: item.key, item });
      broken = true;
      continue;
    }
    const newDay = !before || !sameDay(before.time, item.time);
    if (newDay) rows.push({ type: "day", key: `day ${item.key}`, time: item.time });
    if (item.key === unread) rows.push({ type: "unread", key: "unread" });
    const head = newDay || broken || item.key === unread || !before || !sameGroup(before, item);
    rows.push({ type: "message", key: item.key, message: item, head });
    before = item;
    broken = false;
  }
  return rows;
}

/** The rows of what is not sent yet, behind all others. */
export function pendingRows(room: Room): Row[] {
  let before = lastMessage(room.items, room.items.length);
  return room.pending.map((message) => {
    const head = !before || !sameGroup(before, message);
    before = message;
    return { type: "message", key: `pending ${message.key}`, message, head };
  });
}

function lastMessage(items: readonly Item[], end: number): Message | null {
  for (let i = end - 1; i >= 0; i--) {
    const item = items[i]!;
    if (item.kind === "message") return item;
  }
  return null;
}

const sameGroup = (a: Message, b: Message): boolean =>
  personOf(a.author) === personOf(b.author) && a.author.name === b.author.name && a.author.stamped === b.author.stamped &&
  a.via === b.via && b.re === null && Math.abs(b.time - a.time) <= groupTime;

export function sameDay(a: number, b: number): boolean {
  return Math.abs(a - b) < 86_400_000 * 2 && new Date(a).toDateString() === new Date(b).toDateString();
}

// How far the reader has read in a room, and how much is unread.

import type { Item } from "./room.ts";
import type { Message } from "./message.ts";
import type { Position } from "./position.ts";

/** Whether a message is behind the mark. Every message of another epoch is. */
export const isAfter = (m: Message, mark: Position | null): boolean =>
  mark !== null && (m.epoch === mark.epoch ? m.offset > mark.offset : m.offset > 0);

/** The key of the first message of others after the mark; null when there is none. */
export function firstUnread(items: readonly Item[], mark: Position | null, isOwn: (m: Message) => boolean): string | null {
  if (mark === null) return null;
  let first: string | null = null;
  for (let i = items.length - 1; i >= 0; i--) {
    const item = items[i]!;
    if (item.kind !== "message" || item.offset === 0) continue;
    if (!isAfter(item, mark)) break;
    if (!isOwn(item)) first = item.key;
  }
  return first;
}

/** How many messages of others came after the mark; stops counting at 100. */
export function countUnread(items: readonly Item[], mark: Position | null, isOwn: (m: Message) => boolean): number {
  if (mark === null) return 0;
  let n = 0;
  for (let i = items.length - 1; i >= 0 && n < 100; i--) {
    const item = items[i]!;
    if (item.kind !== "message" || item.offset === 0) continue;
    if (!isAfter(item, mark)) break;
    if (!isOwn(item) && !item.deleted) n++;
  }
  return n;
}

/** The mark at the newest entry; it never moves back within an epoch. */
export function advance(mark: Position | null, epoch: string, top: number): Position | null {
  if (epoch === "" || top === 0) return mark;
  if (mark && mark.epoch === epoch && mark.offset >= top) return mark;
  return { epoch, offset: top };
}

// How far a reader has read in a room, and what that leaves.

import type { Item } from "./room.ts";
import type { Message } from "./message.ts";

export interface Mark {
  readonly epoch: string;
  readonly offset: number;
}

/** Whether a message came after the mark, as far as the log can tell. */
export const isAfter = (m: Message, mark: Mark | null): boolean =>
  mark !== null && (m.epoch === mark.epoch ? m.offset > mark.offset : m.offset > 0);

/** The key of the first message of others after the mark; null when there is none. */
export function firstUnread(items: readonly Item[], mark: Mark | null, isOwn: (m: Message) => boolean): string | null {
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
export function countUnread(items: readonly Item[], mark: Mark | null, isOwn: (m: Message) => boolean): number {
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

/** The mark at the newest entry; never back within an epoch. */
export function advance(mark: Mark | null, epoch: string, top: number): Mark | null {
  if (epoch === "" || top === 0) return mark;
  if (mark && mark.epoch === epoch && mark.offset >= top) return mark;
  return { epoch, offset: top };
}

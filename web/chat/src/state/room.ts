// One room as a value. Every event makes a new value; nothing here waits, draws
// or reads the clock.
//
// 1. Items are in the log's order, each position once.
// 2. The reader's own message is in pending until the log has it; the copy in
//    the log, known by id and author, replaces it.
// 3. What cannot be recovered is marked by a gap item.
// 4. An edit or deletion counts when the server stamped it with the author of
//    the message or with a moderator; a reaction counts from anyone.

import { type Change, type Message, personOf } from "./message.ts";
import { applyChange, applyChanges } from "./change.ts";

export interface Gap {
  readonly kind: "gap";
  readonly key: string;
}

/** People who joined and left since the last message. */
export interface PresenceNote {
  readonly kind: "presence";
  readonly key: string;
  readonly joined: readonly string[];
  readonly left: readonly string[];
}

export type Item = Message | Gap | PresenceNote;

export interface Room {
  readonly name: string;
  readonly items: readonly Item[];
  readonly keys: ReadonlySet<string>;
  readonly pending: readonly Message[];
  readonly changes: ReadonlyMap<string, readonly Change[]>; // by the key of what they change
  readonly epoch: string; // of the newest message
  readonly top: number; // offset of the newest entry of the log that was read
  readonly loaded: boolean; // the first page of history has come
  readonly complete: boolean; // there is nothing older in the log
  readonly loading: boolean; // a page of history is on its way
  readonly error: "history" | "forbidden" | null;
}

export const emptyRoom = (name: string): Room => ({
  name, items: [], keys: new Set(), pending: [], changes: new Map(), epoch: "", top: 0,
  loaded: false, complete: false, loading: false, error: null,
});

/** Adds messages that are in the log's order: live, recovered, or a page of history. */
export function withMessages(room: Room, messages: readonly Message[]): Room {
  const keys = new Set(room.keys);
  let items: Item[] = room.items.slice();
  let pending = room.pending;
  for (const raw of messages) {
    if (keys.has(raw.key)) {
      items = withDetails(items, raw);
      continue;
    }
    keys.add(raw.key);
    pending = withoutSent(pending, raw);
    if (isDuplicate(items, raw)) continue;
    items = inserted(items, applyChanges(raw, room.changes.get(raw.key)));
  }
  return withPosition({ ...room, items, keys, pending }, messages);
}

/** A page that is before all that is known, of any epoch. */
export function withOlder(room: Room, messages: readonly Message[], complete: boolean): Room {
  const keys = new Set(room.keys);
  const fresh: Item[] = [];
  for (const raw of messages) {
    if (keys.has(raw.key) || isDuplicate(room.items, raw)) continue;
    keys.add(raw.key);
    fresh.push(applyChanges(raw, room.changes.get(raw.key)));
  }
  return { ...room, items: [...fresh, ...room.items], keys, complete, loading: false, loaded: true, error: null };
}

/** Marks that the log does not continue where the last item ends. */
export function withGap(room: Room): Room {
  const last = room.items.at(-1);
  if (!last || last.kind === "gap" || !room.items.some((i) => i.kind === "message")) return room;
  const key = `gap ${room.epoch}.${room.top}`;
  return { ...room, items: [...room.items, { kind: "gap", key }] };
}

/** Moves the newest position over entries of the log, which need not be messages. */
export function withPosition(room: Room, entries: readonly { readonly epoch: string; readonly offset: number }[]): Room {
  const last = room.items.at(-1);
  let { epoch, top } = room;
  for (const e of entries) {
    if (e.offset === 0) continue;
    if (e.epoch !== epoch) {
      // A page of older messages may have an older epoch; only what is behind
      // the newest message moves the position.
      if (epoch !== "" && last?.kind === "message" && last.epoch === epoch) continue;
      epoch = e.epoch;
      top = e.offset;
    } else if (e.offset > top) top = e.offset;
  }
  return epoch === room.epoch && top === room.top ? room : { ...room, epoch, top };
}

export function withChange(room: Room, change: Change): Room {
  if (room.keys.has(change.key)) return room;
  const keys = new Set(room.keys).add(change.key);
  const list = room.changes.get(change.of) ?? [];
  const changes = new Map(room.changes).set(change.of, [...list, change]);
  const at = room.items.findIndex((i) => i.key === change.of);
  const target = room.items[at];
  if (!target || target.kind !== "message") return { ...room, keys, changes };
  const changed = applyChange(target, change);
  return { ...room, keys, changes, items: changed === target ? room.items : room.items.with(at, changed) };
}

/** People who joined or left; one item until the next message. */
export function withPresenceNote(room: Room, joined: readonly string[], left: readonly string[]): Room {
  if (joined.length + left.length === 0) return room;
  const last = room.items.at(-1);
  const before = last?.kind === "presence" ? last : null;
  // Who left and joined again, or the reverse, is in neither list.
  const nowJoined = [...(before?.joined ?? []).filter((n) => !left.includes(n)), ...joined.filter((n) => !before?.left.includes(n))];
  const nowLeft = [...(before?.left ?? []).filter((n) => !joined.includes(n)), ...left.filter((n) => !before?.joined.includes(n))];
  const others = before ? room.items.slice(0, -1) : room.items;
  if (nowJoined.length + nowLeft.length === 0) return { ...room, items: others };
  const key = before?.key ?? `presence ${room.epoch}.${room.top} ${others.length}`;
  return { ...room, items: [...others, { kind: "presence", key, joined: unique(nowJoined), left: unique(nowLeft) }] };
}

const unique = (list: readonly string[]) => [...new Set(list)];

export const withPending = (room: Room, pending: readonly Message[]): Room => ({ ...room, pending });

// Puts a message into its place, which is searched for from the end: most
// messages are the newest. One without a log is the newest.
function inserted(items: Item[], message: Message): Item[] {
  let at = items.length;
  for (let i = items.length - 1; i >= 0 && message.offset > 0; i--) {
    const item = items[i]!;
    if (item.kind !== "message") continue;
    if (item.epoch !== message.epoch || item.offset < message.offset) break;
    at = i;
  }
  items.splice(at, 0, message);
  return items;
}

// The time and the way in may come after the message.
function withDetails(items: Item[], raw: Message): Item[] {
  if (raw.via === null) return items;
  const at = items.findLastIndex((i) => i.key === raw.key);
  const known = items[at];
  if (known?.kind === "message" && known.via === null) items[at] = { ...known, via: raw.via, time: raw.time };
  return items;
}

const withoutSent = (pending: readonly Message[], raw: Message): readonly Message[] =>
  raw.id !== null && pending.some((p) => p.id === raw.id) ? pending.filter((p) => p.id !== raw.id) : pending;

const duplicateRange = 400; // items: a duplicate comes soon after the first one or not at all

// A retry after a lost answer may be in the log twice; the same id of the same
// person is shown once.
function isDuplicate(items: readonly Item[], raw: Message): boolean {
  if (raw.id === null) return false;
  const person = personOf({ ...raw.author, client: "" });
  for (let i = items.length - 1, end = Math.max(0, items.length - duplicateRange); i >= end; i--) {
    const item = items[i]!;
    if (item.kind === "message" && item.id === raw.id && personOf({ ...item.author, client: "" }) === person) return true;
  }
  return false;
}

// One room as a value. Every event makes a new value; nothing here waits,
// draws or asks what time it is.
//
// 1. Items stand in the log's order, each position once.
// 2. A message of one's own stands in pending until the log has it; the log's
//    own copy, known by id and author, takes its place.
// 3. What cannot be recovered is marked by a gap item, never passed over.
// 4. A change counts when it comes from the author of what it changes, or from
//    a moderator, both as the server stamped them; a reaction counts from
//    anyone.

import { type Change, type Message, personOf } from "./message.ts";
import { applyChange, withChanges } from "./change.ts";

export interface Gap {
  readonly kind: "gap";
  readonly key: string;
}

/** People who came and went, condensed until somebody speaks. */
export interface Traffic {
  readonly kind: "traffic";
  readonly key: string;
  readonly joined: readonly string[];
  readonly left: readonly string[];
}

export type Item = Message | Gap | Traffic;

export interface Room {
  readonly name: string;
  readonly items: readonly Item[];
  readonly keys: ReadonlySet<string>;
  readonly pending: readonly Message[];
  readonly changes: ReadonlyMap<string, readonly Change[]>; // by the key of what they change
  readonly epoch: string; // of the newest message
  readonly top: number; // offset of the newest entry of the log that was seen
  readonly loaded: boolean; // the first page of history has come
  readonly whole: boolean; // there is nothing older in the log
  readonly loading: boolean; // a page of history is on its way
  readonly error: "history" | "forbidden" | null;
}

export const emptyRoom = (name: string): Room => ({
  name, items: [], keys: new Set(), pending: [], changes: new Map(), epoch: "", top: 0,
  loaded: false, whole: false, loading: false, error: null,
});

/** Messages in the log's order: live, recovered, or a page of history. */
export function withMessages(room: Room, messages: readonly Message[]): Room {
  const keys = new Set(room.keys);
  let items: Item[] = room.items.slice();
  let pending = room.pending;
  const older: Message[] = [];
  const first = firstOf(room.items);
  for (const raw of messages) {
    if (keys.has(raw.key)) {
      items = filled(items, raw);
      continue;
    }
    keys.add(raw.key);
    pending = settled(pending, raw);
    if (isRepeat(items, raw)) continue;
    const message = withChanges(raw, room.changes.get(raw.key));
    if (first && message.epoch === first.epoch && message.offset < first.offset && message.offset > 0) older.push(message);
    else items = placed(items, message);
  }
  if (older.length > 0) items = [...older.sort((a, b) => a.offset - b.offset), ...items];
  return seen({ ...room, items, keys, pending }, messages);
}

/** A page that stands before all that is known, of whatever epoch. */
export function withOlder(room: Room, messages: readonly Message[], whole: boolean): Room {
  const keys = new Set(room.keys);
  const fresh: Item[] = [];
  for (const raw of messages) {
    if (keys.has(raw.key) || isRepeat(room.items, raw)) continue;
    keys.add(raw.key);
    fresh.push(withChanges(raw, room.changes.get(raw.key)));
  }
  return { ...room, items: [...fresh, ...room.items], keys, whole, loading: false, loaded: true, error: null };
}

/** The log goes on somewhere else than where it was left: mark it. */
export function withGap(room: Room): Room {
  const last = room.items.at(-1);
  if (!last || last.kind === "gap" || !room.items.some((i) => i.kind === "message")) return room;
  const key = `gap ${room.epoch}.${room.top}`;
  return { ...room, items: [...room.items, { kind: "gap", key }] };
}

/** An entry of the log that is no message still moves the place that was seen. */
export function seen(room: Room, entries: readonly { readonly epoch: string; readonly offset: number }[]): Room {
  let { epoch, top } = room;
  for (const e of entries) {
    if (e.offset === 0) continue;
    if (e.epoch !== epoch && (epoch === "" || e.offset > 0)) {
      // A page of older messages may carry an older epoch; only what stands
      // behind the newest moves the place.
      if (epoch !== "" && room.items.at(-1)?.kind === "message" && (room.items.at(-1) as Message).epoch === epoch) continue;
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

/** People who came or went since the last look; one line until somebody speaks. */
export function withTraffic(room: Room, joined: readonly string[], left: readonly string[]): Room {
  if (joined.length + left.length === 0) return room;
  const last = room.items.at(-1);
  const before = last?.kind === "traffic" ? last : null;
  // Who only looked away for a moment is no news.
  const nowJoined = [...(before?.joined ?? []).filter((n) => !left.includes(n)), ...joined.filter((n) => !before?.left.includes(n))];
  const nowLeft = [...(before?.left ?? []).filter((n) => !joined.includes(n)), ...left.filter((n) => !before?.joined.includes(n))];
  const rest = before ? room.items.slice(0, -1) : room.items;
  if (nowJoined.length + nowLeft.length === 0) return { ...room, items: rest };
  const key = before?.key ?? `traffic ${room.epoch}.${room.top} ${rest.length}`;
  return { ...room, items: [...rest, { kind: "traffic", key, joined: unique(nowJoined), left: unique(nowLeft) }] };
}

const unique = (list: readonly string[]) => [...new Set(list)];

export const withPending = (room: Room, pending: readonly Message[]): Room => ({ ...room, pending });

function firstOf(items: readonly Item[]): Message | undefined {
  return items.find((i): i is Message => i.kind === "message" && i.offset > 0);
}

// Most messages are the newest; what was fetched to fill a hole is put in its
// place by a search from the end.
function placed(items: Item[], message: Message): Item[] {
  const last = items.at(-1);
  if (message.offset === 0 || !last || last.kind !== "message" || last.epoch !== message.epoch || last.offset < message.offset) {
    if (message.offset === 0 || !hasAfter(items, message)) {
      items.push(message);
      return items;
    }
  }
  let at = items.length;
  for (let i = items.length - 1; i >= 0; i--) {
    const item = items[i]!;
    if (item.kind !== "message") continue;
    if (item.epoch !== message.epoch || item.offset < message.offset) break;
    at = i;
  }
  items.splice(at, 0, message);
  return items;
}

function hasAfter(items: readonly Item[], message: Message): boolean {
  for (let i = items.length - 1; i >= 0; i--) {
    const item = items[i]!;
    if (item.kind === "message") return item.epoch === message.epoch && item.offset > message.offset;
  }
  return false;
}

// Details (time, way in) may come after the message itself.
function filled(items: Item[], raw: Message): Item[] {
  if (raw.via === null) return items;
  const at = items.findLastIndex((i) => i.key === raw.key);
  const known = items[at];
  if (known?.kind === "message" && known.via === null) items[at] = { ...known, via: raw.via, time: raw.time };
  return items;
}

const settled = (pending: readonly Message[], raw: Message): readonly Message[] =>
  raw.id !== null && pending.some((p) => p.id === raw.id) ? pending.filter((p) => p.id !== raw.id) : pending;

const lookBack = 400; // items: a repeat comes soon after the first or not at all

// A retry after a lost answer may stand in the log twice; the same id from the
// same person is shown once.
function isRepeat(items: readonly Item[], raw: Message): boolean {
  if (raw.id === null) return false;
  const person = personOf({ ...raw.author, client: "" });
  for (let i = items.length - 1, end = Math.max(0, items.length - lookBack); i >= end; i--) {
    const item = items[i]!;
    if (item.kind === "message" && item.id === raw.id && personOf({ ...item.author, client: "" }) === person) return true;
  }
  return false;
}

// One room that the reader is in: its channel, its log, who is there and who
// types. The state is a value in a signal; this file brings events to it.

import { computed, signal } from "@preact/signals";
import * as http from "../client/http.ts";
import type { Channel, Joined, Link, Place } from "../client/link.ts";
import { keyOf, type Message, personOf, read, type Wire } from "../state/message.ts";
import { channelOf } from "../state/names.ts";
import { emptyRoom, type Room, seen, withChange, withGap, withMessages, withOlder } from "../state/room.ts";
import { page as pageSize } from "../state/window.ts";
import { stopped, type Typing } from "../state/typing.ts";
import type { Members } from "../state/presence.ts";
import { advance, countUnread, type Mark } from "../state/unread.ts";

const pause = 5_000; // milliseconds until a history that failed is asked for again
const mostFill = 5; // pages that are read to close a hole before it is marked

export interface Around {
  readonly link: Link;
  token(): string;
  isOwn(m: Message): boolean;
  /** Messages that are in the log, from wherever they were read. */
  seen(room: RoomControl, messages: readonly Message[]): void;
  /** Messages that have just come in. */
  heard(room: RoomControl, messages: readonly Message[]): void;
  /** The channel is live and what was missed is there. */
  ready(room: RoomControl): void;
}

export class RoomControl {
  readonly channel: string;
  readonly room = signal<Room>(emptyRoom(""));
  readonly typing = signal<Typing>(new Map());
  readonly members = signal<Members | null>(null);
  /** How far the reader has read; null until the first page is there. */
  readonly mark = signal<Mark | null>(null);
  /** From where the unread divider counts. */
  readonly divider = signal<Mark | null>(null);
  readonly unread = computed(() => countUnread(this.room.value.items, this.mark.value, this.around.isOwn));
  readonly live = signal(false);
  #sub: Channel | null = null;
  #queue: Wire[] = [];
  #flush = 0;
  #nth = 0;
  #again = 0;
  #details: ReturnType<typeof setTimeout> | null = null;
  #recovering = false;
  #oldest: Place | null = null; // the first entry of the log that was read
  #moved: (() => void) | null = null;

  constructor(readonly name: string, mark: Mark | null, private readonly around: Around) {
    this.channel = channelOf(name);
    this.room.value = emptyRoom(name);
    this.mark.value = mark;
    this.divider.value = mark;
  }

  enter(moved: () => void): void {
    this.#moved = moved;
    void this.#first();
    this.#sub = this.around.link.join(this.channel, {
      joined: (j) => void this.#joined(j),
      message: (wire) => this.#came(wire),
      moved: () => this.#moved?.(),
      refused: (code) => {
        this.live.value = false;
        if (code === 103 || code === 101 || code === 102) this.room.value = { ...this.room.value, error: "forbidden", loading: false };
      },
    });
  }

  leave(): void {
    this.#sub?.leave();
    this.#sub = null;
    clearTimeout(this.#flush);
    clearTimeout(this.#again);
    if (this.#details) clearTimeout(this.#details);
  }

  presence() { return this.#sub?.presence() ?? Promise.reject(new Error("not in the room")); }

  /** A page of older messages; does nothing while one is on its way. */
  async older(): Promise<void> {
    const { loading, whole, loaded } = this.room.value;
    if (loading || whole) return;
    const since = this.#oldest;
    if (!loaded || !since) return this.#first();
    this.#set({ loading: true, error: null });
    await this.#page({ since, limit: pageSize, reverse: true }, (p) => {
      // A page that leads no further back is the last one, whatever it holds.
      const first = p.messages[0];
      const further = first !== undefined && !(first.epoch === since.epoch && first.offset! >= since.offset);
      if (further) this.#oldest = { epoch: first.epoch ?? "", offset: first.offset ?? 0 };
      this.#takeOlder(p.messages, !further || p.gap || p.messages.length < pageSize);
    });
  }

  /** All up to here is read. */
  readAll(): boolean {
    const { epoch, top } = this.room.value;
    const next = advance(this.mark.value, epoch, top);
    if (next === this.mark.value) return false;
    this.mark.value = next;
    return true;
  }

  /** Looks for messages with these ids in the log behind a place. */
  async find(since: Place | null, ids: ReadonlySet<string>): Promise<Set<string>> {
    const found = new Set<string>();
    let from = since?.epoch ? since : null; // an empty room has no place yet
    for (let i = 0; i < mostFill; i++) {
      const p = await http.history(this.channel, this.around.token(), from ? { since: from, limit: 500 } : { limit: 500, reverse: true });
      for (const wire of p.messages) {
        const r = read(wire, "", 0);
        if ("message" in r && r.message.id !== null && ids.has(r.message.id) && this.around.isOwn(r.message)) found.add(r.message.id);
      }
      const last = p.messages.at(-1);
      if (!from || !last || p.messages.length < 500) break;
      from = { epoch: last.epoch ?? from.epoch, offset: last.offset ?? from.offset };
    }
    return found;
  }

  #set(change: Partial<Room>): void { this.room.value = { ...this.room.value, ...change }; }

  async #first(): Promise<void> {
    if (this.room.value.loading) return;
    this.#set({ loading: true, error: null });
    await this.#page({ limit: pageSize, reverse: true }, (p) => {
      const oldest = p.messages[0];
      if (oldest?.offset && !this.#oldest) this.#oldest = { epoch: oldest.epoch ?? "", offset: oldest.offset };
      this.#take(p.messages, false);
      this.#set({ loading: false, loaded: true, whole: this.room.value.whole || p.messages.length < pageSize });
      // Who was never here has nothing unread: all that is there is history.
      if (this.mark.value === null) {
        this.mark.value = { epoch: p.epoch, offset: p.offset };
      }
    });
  }

  async #page(ask: http.Ask, take: (p: http.Page) => void): Promise<void> {
    try {
      take(await http.history(this.channel, this.around.token(), ask));
    } catch (e) {
      const forbidden = e instanceof http.Refused && (e.status === 401 || e.status === 403);
      this.#set({ loading: false, error: forbidden ? "forbidden" : "history", loaded: this.room.value.loaded || forbidden, whole: forbidden });
      if (forbidden) return;
      // Nobody has to click: the button is for those who do not want to wait.
      clearTimeout(this.#again);
      this.#again = window.setTimeout(() => { if (this.room.value.error === "history") void this.older(); }, pause * (0.75 + Math.random() / 2));
    }
  }

  // The channel is live. Between the page of history that is there and the
  // place where it went live something may be missing: it is read, and marked
  // where the log no longer has it.
  async #joined({ place, gap, recovered }: Joined): Promise<void> {
    this.live.value = true;
    this.#moved?.();
    if (this.room.value.error === "forbidden") this.#set({ error: null });
    if (!this.room.value.loaded || this.room.value.error === "history") {
      await this.#first();
    } else if (place && (gap || (!recovered && this.#behind(place)))) {
      await this.#fill();
    }
    this.#flushNow();
    this.around.ready(this);
  }

  #behind(place: Place): boolean {
    const { epoch, top } = this.room.value;
    return epoch === "" ? place.offset > 0 : place.epoch !== epoch || place.offset > top;
  }

  async #fill(): Promise<void> {
    if (this.#recovering) return;
    this.#recovering = true;
    try {
      const { epoch, top } = this.room.value;
      let from: Place = { epoch, offset: top };
      for (let i = 0; i < mostFill && epoch !== ""; i++) {
        const p = await http.history(this.channel, this.around.token(), { since: from, limit: 200 });
        if (p.gap) break;
        this.#take(p.messages, false);
        const last = p.messages.at(-1);
        if (!last || p.messages.length < 200) return;
        from = { epoch: last.epoch ?? from.epoch, offset: last.offset ?? from.offset };
      }
      const p = await http.history(this.channel, this.around.token(), { limit: pageSize, reverse: true });
      this.room.value = withGap(this.room.value);
      this.#take(p.messages, false);
      this.room.value = { ...this.room.value, epoch: p.epoch, top: p.offset };
    } catch {
      this.room.value = withGap(this.room.value);
    } finally {
      this.#recovering = false;
    }
  }

  // A burst is taken at once, so that the page draws once for it.
  #came(wire: Wire): void {
    this.#queue.push(wire);
    if (this.#flush === 0) this.#flush = window.setTimeout(() => this.#flushNow(), document.hidden ? 200 : 16);
  }

  #flushNow(): void {
    clearTimeout(this.#flush);
    this.#flush = 0;
    if (this.#queue.length === 0 || !this.room.value.loaded && this.room.value.loading) return this.#later();
    const wires = this.#queue;
    this.#queue = [];
    this.#take(wires, true);
    if (wires.some((w) => w.via === undefined)) this.#askDetails(wires);
  }

  // Live messages wait for the first page, so that they stand behind it.
  #later(): void {
    if (this.#queue.length > 0) this.#flush = window.setTimeout(() => this.#flushNow(), 50);
  }

  #take(wires: readonly Wire[], live: boolean): void {
    const messages: Message[] = [];
    let room = this.room.value;
    let typing = this.typing.value;
    for (const wire of wires) {
      const r = read(wire, `live ${++this.#nth}`, Date.now());
      if ("message" in r) {
        messages.push(r.message);
        typing = stopped(typing, personOf(r.message.author));
      } else {
        if ("change" in r) room = withChange(room, r.change);
        room = seen(room, [{ epoch: wire.epoch ?? "", offset: wire.offset ?? 0 }]);
      }
    }
    const known = room.keys;
    this.room.value = withMessages(room, messages);
    this.typing.value = typing;
    this.around.seen(this, messages);
    if (live) {
      const fresh = messages.filter((m) => !known.has(m.key));
      if (fresh.length > 0) this.around.heard(this, fresh);
    }
  }

  #takeOlder(wires: readonly Wire[], whole: boolean): void {
    const messages: Message[] = [];
    let room = this.room.value;
    for (const wire of wires) {
      const r = read(wire, `old ${++this.#nth}`, Date.now());
      if ("message" in r) messages.push(r.message);
      else if ("change" in r) room = withChange(room, r.change);
    }
    this.room.value = withOlder(room, messages, whole);
  }

  // The door's publications have neither time nor way in; the history has
  // both. One question for many messages.
  #askDetails(wires: readonly Wire[]): void {
    const first = wires.find((w) => (w.offset ?? 0) > 0);
    if (!first || this.#details) return;
    const since = { epoch: first.epoch ?? "", offset: (first.offset ?? 1) - 1 };
    this.#details = setTimeout(async () => {
      this.#details = null;
      try {
        const p = await http.history(this.channel, this.around.token(), { since, limit: 200 });
        // Only what is known: what is new comes by itself, and is then news.
        const { keys } = this.room.value;
        this.#take(p.messages.filter((w) => keys.has(keyOf(w.epoch ?? "", w.offset ?? 0))), false);
      } catch { /* the message itself is there */ }
    }, 150);
  }
}

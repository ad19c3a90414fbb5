// One room that the reader has open: its channel and its log. The state is a
// value in a signal; this file brings events to it.

import { computed, signal } from "@preact/signals";
import type { Clock } from "../client/clock.ts";
import type { Connection, Subscribed, Subscription } from "../client/connection.ts";
import { type API, type Page, type PageQuery, Refused } from "../client/http.ts";
import { type Message, personOf, type PublisherInfo, read, type WireMessage } from "../state/message.ts";
import { channelOf } from "../state/names.ts";
import { keyOf, type Position } from "../state/position.ts";
import type { Members } from "../state/presence.ts";
import { emptyRoom, type Room, withChange, withGap, withMessages, withOlder, withPosition } from "../state/room.ts";
import { type Typing, withoutTypist } from "../state/typing.ts";
import { advance, countUnread } from "../state/unread.ts";
import { pageSize } from "../state/window.ts";

const retryDelay = 5_000; // milliseconds until a page that failed is asked for again
const maxFillPages = 5; // pages that are read to fill a gap before it is marked
const fillPageSize = 200;
const findPageSize = 500;
const detailsDelay = 150; // milliseconds in which messages share one request for their details

export interface RoomOptions {
  readonly connection: Connection;
  readonly api: API;
  readonly clock: Clock;
  token(): string;
  /** Whether the tab is hidden: then there is no hurry to draw. */
  hidden(): boolean;
  isOwn(m: Message): boolean;
  /** These messages are in the log, wherever they were read. */
  inLog(messages: readonly Message[]): void;
  /** These messages are new. */
  arrived(room: RoomControl, messages: readonly Message[]): void;
  /** The channel is live and what was missed is there. */
  ready(room: RoomControl): void;
}

export class RoomControl {
  readonly channel: string;
  readonly room = signal<Room>(emptyRoom(""));
  readonly typing = signal<Typing>(new Map());
  readonly members = signal<Members | null>(null);
  /** How far the reader has read; null until the first page is there. */
  readonly mark = signal<Position | null>(null);
  /** The unread divider is behind this position. */
  readonly divider = signal<Position | null>(null);
  readonly unread = computed(() => countUnread(this.room.value.items, this.mark.value, this.options.isOwn));
  readonly live = signal(false);
  #subscription: Subscription | null = null;
  #presenceChanged: () => void = () => {};
  #queue: WireMessage[] = []; // live messages that are not in the state yet
  #cancelFlush: (() => void) | null = null;
  #cancelRetry: (() => void) | null = null;
  #cancelDetails: (() => void) | null = null;
  #keys = 0; // of messages without a position
  #filling = false;
  #reading: Promise<void> | null = null; // the first page
  #oldest: Position | null = null; // the first entry of the log that was read

  constructor(readonly name: string, mark: Position | null, private readonly options: RoomOptions) {
    this.channel = channelOf(name);
    this.room.value = emptyRoom(name);
    this.mark.value = mark;
    this.divider.value = mark;
  }

  /** Reads the newest page and subscribes. */
  open(presenceChanged: () => void): void {
    this.#presenceChanged = presenceChanged;
    void this.#firstPage();
    this.#subscription = this.options.connection.subscribe(this.channel, {
      subscribed: (s) => void this.#subscribed(s),
      message: (wire) => this.#enqueue(wire),
      presenceChanged: () => this.#presenceChanged(),
      refused: (code) => {
        this.live.value = false;
        if (code === 103 || code === 101 || code === 102) this.#set({ error: "forbidden", loading: false });
      },
    });
  }

  close(): void {
    this.#subscription?.unsubscribe();
    this.#subscription = null;
    this.#cancelFlush?.();
    this.#cancelRetry?.();
    this.#cancelDetails?.();
  }

  presence(): Promise<Record<string, PublisherInfo>> {
    return this.#subscription?.presence() ?? Promise.reject(new Error("the room is not open"));
  }

  /** Reads a page of older messages; does nothing while one is being read. */
  async older(): Promise<void> {
    const { loading, complete, loaded } = this.room.value;
    if (loading || complete) return;
    const since = this.#oldest;
    if (!loaded || !since) return this.#firstPage();
    this.#set({ loading: true, error: null });
    await this.#page({ since, limit: pageSize, reverse: true }, (p) => {
      // A page that does not start further back is the last one.
      const first = p.messages[0];
      const isOlder = first !== undefined && !(first.epoch === since.epoch && first.offset! >= since.offset);
      if (isOlder) this.#oldest = positionOf(first);
      this.#takeOlder(p.messages, !isOlder || p.gap || !p.more);
    });
  }

  /** Everything in the room is read. */
  readAll(): void {
    const { epoch, top } = this.room.value;
    this.mark.value = advance(this.mark.value, epoch, top);
  }

  /** Which of these ids the reader's own messages behind a position have. */
  async find(since: Position | null, ids: ReadonlySet<string>): Promise<Set<string>> {
    const found = new Set<string>();
    let from = since?.epoch ? since : null; // an empty room has no position yet
    for (let i = 0; i < maxFillPages; i++) {
      const p = await this.#history(from ? { since: from, limit: findPageSize } : { limit: findPageSize, reverse: true });
      for (const wire of p.messages) {
        const r = read(wire, "", 0);
        if ("message" in r && r.message.id !== null && ids.has(r.message.id) && this.options.isOwn(r.message)) found.add(r.message.id);
      }
      const last = p.messages.at(-1);
      if (!from || !last || !p.more) break;
      from = positionOf(last, from);
    }
    return found;
  }

  #set(change: Partial<Room>): void { this.room.value = { ...this.room.value, ...change }; }

  #history(query: PageQuery): Promise<Page> { return this.options.api.history(this.channel, this.options.token(), query); }

  // Who asks while the page is being read waits for the same page.
  #firstPage(): Promise<void> {
    return this.#reading ??= this.#readFirstPage().finally(() => { this.#reading = null; });
  }

  async #readFirstPage(): Promise<void> {
    if (this.room.value.loading) return;
    this.#set({ loading: true, error: null });
    await this.#page({ limit: pageSize, reverse: true }, (p) => {
      const oldest = p.messages[0];
      if (oldest?.offset && !this.#oldest) this.#oldest = positionOf(oldest);
      this.#take(p.messages, false);
      this.#set({ loading: false, loaded: true, complete: this.room.value.complete || !p.more });
      // In a room that the reader has never opened nothing is unread.
      this.mark.value ??= { epoch: p.epoch, offset: p.offset };
    });
    this.#readyIfLive(); // a retry may have come long after the channel went live
  }

  #readyIfLive(): void {
    this.#flush();
    if (this.live.value && this.room.value.loaded) this.options.ready(this);
  }

  async #page(query: PageQuery, take: (p: Page) => void): Promise<void> {
    try {
      take(await this.#history(query));
    } catch (e) {
      const forbidden = e instanceof Refused && (e.status === 401 || e.status === 403);
      this.#set({ loading: false, error: forbidden ? "forbidden" : "history", loaded: this.room.value.loaded || forbidden, complete: forbidden });
      if (forbidden) return;
      // The button is for readers who do not want to wait for this retry.
      this.#cancelRetry?.();
      this.#cancelRetry = this.options.clock.after(retryDelay * (0.75 + this.options.clock.random() / 2), () => { if (this.room.value.error === "history") void this.older(); });
    }
  }

  // Messages may be missing between the page of history that is there and the
  // position where the channel went live: they are read, and marked as a gap
  // where the log no longer has them.
  async #subscribed({ position, gap, recovered }: Subscribed): Promise<void> {
    this.live.value = true;
    this.#presenceChanged();
    if (this.room.value.error === "forbidden") this.#set({ error: null });
    const isNew = !this.room.value.loaded || this.room.value.error === "history";
    if (isNew) await this.#firstPage();
    // The first page may be older than the subscription, too.
    if (this.room.value.loaded && position && ((gap && !isNew) || (!recovered && this.#isBehind(position)))) await this.#fill();
    this.#readyIfLive();
  }

  #isBehind(position: Position): boolean {
    const { epoch, top } = this.room.value;
    return epoch === "" ? position.offset > 0 : position.epoch !== epoch || position.offset > top;
  }

  async #fill(): Promise<void> {
    if (this.#filling) return;
    this.#filling = true;
    try {
      const { epoch, top } = this.room.value;
      let from: Position = { epoch, offset: top };
      for (let i = 0; i < maxFillPages && epoch !== ""; i++) {
        const p = await this.#history({ since: from, limit: fillPageSize });
        if (p.gap) break;
        this.#take(p.messages, false);
        const last = p.messages.at(-1);
        if (!last || !p.more) return;
        from = positionOf(last, from);
      }
      const p = await this.#history({ limit: pageSize, reverse: true });
      this.room.value = withGap(this.room.value);
      this.#take(p.messages, false);
      this.#set({ epoch: p.epoch, top: p.offset });
    } catch {
      this.room.value = withGap(this.room.value);
    } finally {
      this.#filling = false;
    }
  }

  // Messages of a burst are taken together, so that the page is drawn once.
  #enqueue(wire: WireMessage): void {
    this.#queue.push(wire);
    if (this.#cancelFlush === null) this.#flushAfter(this.options.hidden() ? 200 : 16);
  }

  #flushAfter(milliseconds: number): void {
    this.#cancelFlush = this.options.clock.after(milliseconds, () => this.#flush());
  }

  #flush(): void {
    this.#cancelFlush?.();
    this.#cancelFlush = null;
    if (this.#queue.length === 0) return;
    // Live messages wait for the first page, so that they are behind it.
    if (!this.room.value.loaded && this.room.value.loading) return this.#flushAfter(50);
    const wires = this.#queue;
    this.#queue = [];
    this.#take(wires, true);
    if (wires.some((w) => w.via === undefined)) this.#askDetails(wires);
  }

  #take(wires: readonly WireMessage[], live: boolean): void {
    const messages: Message[] = [];
    let room = this.room.value;
    let typing = this.typing.value;
    for (const wire of wires) {
      const r = this.#read(wire, "live");
      if ("message" in r) {
        messages.push(r.message);
        typing = withoutTypist(typing, personOf(r.message.author));
      } else {
        if ("change" in r) room = withChange(room, r.change);
        room = withPosition(room, [positionOf(wire)]);
      }
    }
    const known = room.keys;
    this.room.value = withMessages(room, messages);
    this.typing.value = typing;
    this.options.inLog(messages);
    if (live) {
      const fresh = messages.filter((m) => !known.has(m.key));
      if (fresh.length > 0) this.options.arrived(this, fresh);
    }
  }

  #takeOlder(wires: readonly WireMessage[], complete: boolean): void {
    const messages: Message[] = [];
    let room = this.room.value;
    for (const wire of wires) {
      const r = this.#read(wire, "old");
      if ("message" in r) messages.push(r.message);
      else if ("change" in r) room = withChange(room, r.change);
    }
    this.room.value = withOlder(room, messages, complete);
  }

  #read(wire: WireMessage, kind: "live" | "old") { return read(wire, `${kind} ${++this.#keys}`, this.options.clock.now()); }

  // The door's publications have neither time nor way in; the history has
  // both. One request serves many messages.
  #askDetails(wires: readonly WireMessage[]): void {
    const first = wires.find((w) => (w.offset ?? 0) > 0);
    if (!first || this.#cancelDetails) return;
    const { epoch, offset } = positionOf(first);
    this.#cancelDetails = this.options.clock.after(detailsDelay, async () => {
      this.#cancelDetails = null;
      try {
        const p = await this.#history({ since: { epoch, offset: offset - 1 }, limit: fillPageSize });
        // Only known messages: a new one has to come live, to be announced.
        const { keys } = this.room.value;
        this.#take(p.messages.filter((w) => keys.has(keyOf(w.epoch ?? "", w.offset ?? 0))), false);
      } catch { /* the message itself is there */ }
    });
  }
}

const positionOf = (wire: WireMessage, fallback: Position = { epoch: "", offset: 0 }): Position =>
  ({ epoch: wire.epoch ?? fallback.epoch, offset: wire.offset ?? fallback.offset });

// Sends what the reader writes: at once when it is possible, later when it must
// be, and once in any case. What is not in the log yet survives a reload.

import { signal } from "@preact/signals";
import type { Clock } from "../client/clock.ts";
import type { Connection, Refusal } from "../client/connection.ts";
import { Refused } from "../client/http.ts";
import { newId } from "../client/id.ts";
import type { Store } from "../client/store.ts";
import type { Author, Message, SendState } from "../state/message.ts";
import { add, failed, interrupted, load, next, type Outbox, type OutboxEntry, remove, save, sending, unsure, waiting } from "../state/outbox.ts";
import { withPending } from "../state/room.ts";
import type { RoomControl } from "./room.ts";

const retryDelays = [1_000, 2_000, 5_000, 10_000]; // milliseconds between attempts
const ackedTime = 10_000; // milliseconds that an acknowledged message is shown before it has arrived

export interface SenderOptions {
  readonly connection: Connection;
  readonly clock: Clock;
  room(name: string): RoomControl | undefined;
  author(): Author;
  /** Why the server refused, in the reader's language. */
  reason(code: number, text: string): string;
}

export class Sender {
  readonly #outbox = signal<Outbox>([]);
  #acked: OutboxEntry[] = []; // in the log, but not yet arrived from there
  #sending = false;
  #failures = 0; // in a row
  #cancelRetry: (() => void) | null = null;

  /** key is this tab's own outbox in the store: no two tabs send the same message. */
  constructor(private readonly store: Store, private readonly key: string, private readonly options: SenderOptions) {
    this.#outbox.value = load(store.get(key));
  }

  /** Rooms that have something in the outbox. */
  get rooms(): string[] { return [...new Set(this.#outbox.value.map((e) => e.room))]; }

  /** Takes over the outbox of a tab that was closed. */
  adopt(key: string): void {
    const left = load(this.store.get(key));
    this.store.set(key, null);
    if (left.length > 0) this.#set([...left, ...this.#outbox.value]);
    this.sendNext();
  }

  send(room: string, content: string, re: string | null): void {
    this.#set(add(this.#outbox.value, { id: newId(), room, content, re, written: this.options.clock.now() }));
    this.sendNext();
  }

  retry(id: string): void {
    this.#set(waiting(this.#outbox.value, id));
    this.sendNext();
  }

  discard(id: string): void { this.#set(remove(this.#outbox.value, id)); }

  /** These messages are in the log. */
  inLog(messages: readonly Message[]): void {
    let outbox = this.#outbox.value;
    for (const { id } of messages) {
      if (id === null) continue;
      outbox = remove(outbox, id);
      if (this.#acked.some((e) => e.id === id)) this.#acked = this.#acked.filter((e) => e.id !== id);
    }
    if (outbox !== this.#outbox.value) this.#set(outbox);
  }

  /** The connection is lost: what was being sent may be in the log or not. */
  interrupted(): void { this.#set(interrupted(this.#outbox.value)); }

  /** The server closed the connection because what was being sent is too large. */
  tooLarge(reason: string): void {
    for (const e of this.#outbox.value) if (e.state === "sending" || e.state === "unsure") this.#set(failed(this.#outbox.value, e.id, reason));
  }

  /** Sends the next message if it can be sent now. Call it whenever that may have become possible. */
  sendNext(): void {
    if (this.#sending || this.#cancelRetry || !this.options.connection.online) return;
    const entry = next(this.#outbox.value, (name) => {
      const room = this.options.room(name);
      return room !== undefined && room.live.value && room.room.value.loaded;
    });
    const room = entry && this.options.room(entry.room);
    if (!entry || !room) return;
    this.#sending = true;
    void this.#send(entry, room).finally(() => {
      this.#sending = false;
      this.sendNext();
    });
  }

  async #send(entry: OutboxEntry, room: RoomControl): Promise<void> {
    try {
      if (entry.state === "unsure" && await this.#isInLog(room, entry)) return this.#set(remove(this.#outbox.value, entry.id));
      const { epoch, top } = room.room.value;
      this.#set(sending(this.#outbox.value, entry.id, { epoch, offset: top }));
      await this.options.connection.publish(room.channel, payloadOf(entry));
      this.#failures = 0;
      this.#acknowledged(entry);
    } catch (e) {
      this.#refused(entry, e);
    }
  }

  // Where the log may not be read the message is sent again; readers know the
  // duplicate by its id.
  async #isInLog(room: RoomControl, entry: OutboxEntry): Promise<boolean> {
    try {
      return (await room.find(entry.since, new Set([entry.id]))).has(entry.id);
    } catch (e) {
      if (e instanceof Refused) return false;
      throw e;
    }
  }

  #acknowledged(entry: OutboxEntry): void {
    const known = this.#outbox.value.find((e) => e.id === entry.id);
    if (known) {
      this.#acked = [...this.#acked, known];
      this.options.clock.after(ackedTime, () => {
        this.#acked = this.#acked.filter((e) => e !== known);
        this.showPending(known.room);
      });
    }
    this.#set(remove(this.#outbox.value, entry.id));
  }

  #refused(entry: OutboxEntry, e: unknown): void {
    const { code, message } = isRefusal(e) ? e : { code: 0, message: "" };
    if (code < 100) {
      this.#set(unsure(this.#outbox.value, entry.id));
      this.#retryLater(); // while connected; a new connection calls sendNext
    } else if (code === 100 || code === 111) {
      this.#set(waiting(this.#outbox.value, entry.id));
      this.#retryLater();
    } else {
      this.#set(failed(this.#outbox.value, entry.id, this.options.reason(code, message)));
    }
  }

  #retryLater(): void {
    const delay = retryDelays[Math.min(this.#failures++, retryDelays.length - 1)]!;
    this.#cancelRetry = this.options.clock.after(delay, () => {
      this.#cancelRetry = null;
      this.sendNext();
    });
  }

  #set(outbox: Outbox): void {
    const rooms = new Set([...this.#outbox.value, ...outbox].map((e) => e.room));
    this.#outbox.value = outbox;
    this.store.set(this.key, outbox.length === 0 ? null : save(outbox));
    for (const name of rooms) this.showPending(name);
  }

  /** Puts what is not sent yet behind a room's messages. */
  showPending(name: string): void {
    const control = this.options.room(name);
    if (!control) return;
    const entries = [...this.#acked, ...this.#outbox.value].filter((e) => e.room === name);
    control.room.value = withPending(control.room.value, entries.map((e) => this.#message(e)));
  }

  #message(e: OutboxEntry): Message {
    const sendState: SendState = this.#acked.includes(e) ? "sent" : e.state === "unsure" ? "waiting" : e.state;
    return {
      kind: "message", key: e.id, id: e.id, epoch: "", offset: 0, time: e.written, via: "sdk", author: this.options.author(),
      text: e.content, format: "chat", bytes: 0, re: e.re, sendState, edited: false, deleted: false, reactions: [],
      ...(e.reason === "" ? {} : { reason: e.reason }),
    };
  }
}

const payloadOf = (e: OutboxEntry) => ({ content: e.content, id: e.id, ...(e.re === null ? {} : { re: e.re }) });

const isRefusal = (e: unknown): e is Refusal =>
  e !== null && typeof e === "object" && typeof (e as Refusal).code === "number";

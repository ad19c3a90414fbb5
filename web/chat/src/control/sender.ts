// Brings what the reader writes to the server: at once when it can, later when
// it must, once in any case. What is not settled survives a reload.

import { signal } from "@preact/signals";
import { Refused } from "../client/http.ts";
import { newId } from "../client/id.ts";
import type { Link, Refusal } from "../client/link.ts";
import type { Shelf } from "../client/shelf.ts";
import type { Author, Message } from "../state/message.ts";
import { failed, interrupted, type Letter, load, next, type Outbox, save, sending, settle, unsure, waiting, write } from "../state/outbox.ts";
import { withPending } from "../state/room.ts";
import type { RoomControl } from "./room.ts";

const pauses = [1_000, 2_000, 5_000, 10_000]; // milliseconds between attempts that the server asks to repeat
const linger = 10_000; // an acknowledged message that does not come in is shown no longer

export interface Desk {
  readonly link: Link;
  room(name: string): RoomControl | undefined;
  author(): Author;
  reason(code: number, text: string): string;
}

export class Sender {
  readonly #box = signal<Outbox>([]);
  #acked: Letter[] = []; // in the log, but not yet seen there
  #busy = false;
  #pause = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;

  /** key is this tab's own place on the shelf: no two tabs send the same letter. */
  constructor(private readonly shelf: Shelf, private key: string, private readonly desk: Desk) {
    this.#box.value = load(shelf.get(key));
  }

  /** Rooms that letters wait for. */
  get rooms(): string[] { return [...new Set(this.#box.value.map((l) => l.room))]; }

  /** Takes over what a tab that is gone has left. */
  adopt(key: string): void {
    const left = load(this.shelf.get(key));
    this.shelf.set(key, null);
    if (left.length > 0) this.#keep([...left, ...this.#box.value]);
    this.pump();
  }

  write(room: string, content: string, re: string | null): void {
    this.#keep(write(this.#box.value, { id: newId(), room, content, re, written: Date.now() }));
    this.pump();
  }

  retry(id: string): void {
    this.#keep(waiting(this.#box.value, id));
    this.pump();
  }

  discard(id: string): void { this.#keep(settle(this.#box.value, id)); }

  /** These are in the log. */
  arrived(messages: readonly Message[]): void {
    let box = this.#box.value;
    for (const { id } of messages) {
      if (id === null) continue;
      box = settle(box, id);
      if (this.#acked.some((l) => l.id === id)) this.#acked = this.#acked.filter((l) => l.id !== id);
    }
    if (box !== this.#box.value) this.#keep(box);
  }

  /** The connection is lost: what was on its way may be in the log or not. */
  interrupted(): void { this.#keep(interrupted(this.#box.value)); }

  /** The server hung up over the size of what was on its way. */
  tooBig(reason: string): void {
    for (const l of this.#box.value) if (l.state === "sending" || l.state === "unsure") this.#keep(failed(this.#box.value, l.id, reason));
  }

  /** Sends what can be sent now. Call it whenever something may have become possible. */
  pump(): void {
    if (this.#busy || this.#timer) return;
    const letter = next(this.#box.value);
    const room = letter && this.desk.room(letter.room);
    if (!letter || !room || !this.desk.link.online || !room.live.value || !room.room.value.loaded) return;
    this.#busy = true;
    void this.#send(letter, room).finally(() => {
      this.#busy = false;
      this.pump();
    });
  }

  async #send(letter: Letter, room: RoomControl): Promise<void> {
    try {
      if (letter.state === "unsure") {
        if (await this.#isInLog(room, letter)) return this.#keep(settle(this.#box.value, letter.id));
      }
      const { epoch, top } = room.room.value;
      this.#keep(sending(this.#box.value, letter.id, { epoch, offset: top }));
      await this.desk.link.publish(room.channel, payloadOf(letter));
      this.#pause = 0;
      this.#ack(letter);
    } catch (e) {
      this.#refused(letter, e);
    }
  }

  // Where the log may not be read nobody can tell; readers then know the second
  // one by its id.
  async #isInLog(room: RoomControl, letter: Letter): Promise<boolean> {
    try {
      return (await room.find(letter.since, new Set([letter.id]))).has(letter.id);
    } catch (e) {
      if (e instanceof Refused) return false;
      throw e;
    }
  }

  #ack(letter: Letter): void {
    const known = this.#box.value.find((l) => l.id === letter.id);
    if (known) {
      this.#acked = [...this.#acked, known];
      setTimeout(() => {
        this.#acked = this.#acked.filter((l) => l !== known);
        this.#show(known.room);
      }, linger);
    }
    this.#keep(settle(this.#box.value, letter.id));
  }

  #refused(letter: Letter, e: unknown): void {
    const { code, message } = isRefusal(e) ? e : { code: 0, message: "" };
    if (code < 100) {
      this.#keep(unsure(this.#box.value, letter.id));
      this.#later(); // while the line is up; else the next connection pumps
    } else if (code === 100 || code === 111) {
      this.#keep(waiting(this.#box.value, letter.id));
      this.#later();
    } else {
      this.#keep(failed(this.#box.value, letter.id, this.desk.reason(code, message)));
    }
  }

  #later(): void {
    const pause = pauses[Math.min(this.#pause++, pauses.length - 1)]!;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.pump();
    }, pause);
  }

  #keep(box: Outbox): void {
    const rooms = new Set([...this.#box.value, ...box].map((l) => l.room));
    this.#box.value = box;
    this.shelf.set(this.key, box.length === 0 ? null : save(box));
    for (const name of rooms) this.#show(name);
  }

  /** Puts the letters of a room behind its messages. */
  #show(name: string): void {
    const control = this.desk.room(name);
    if (!control) return;
    const letters = [...this.#acked, ...this.#box.value].filter((l) => l.room === name);
    control.room.value = withPending(control.room.value, letters.map((l) => this.#message(l)));
  }

  /** Shows what waits in a room that was just entered. */
  entered(name: string): void { this.#show(name); }

  #message(l: Letter): Message {
    const fate = this.#acked.includes(l) ? "sent" : l.state === "failed" ? "failed" : l.state === "sending" ? "sending" : "waiting";
    return {
      kind: "message", key: l.id, id: l.id, epoch: "", offset: 0, time: l.written, via: "sdk", author: this.desk.author(),
      text: l.content, format: "chat", bytes: 0, re: l.re, fate, edited: false, deleted: false, reactions: [],
      ...(l.reason === "" ? {} : { reason: l.reason }),
    };
  }
}

const payloadOf = (l: Letter) => ({ content: l.content, id: l.id, ...(l.re === null ? {} : { re: l.re }) });

const isRefusal = (e: unknown): e is Refusal =>
  e !== null && typeof e === "object" && typeof (e as Refusal).code === "number";

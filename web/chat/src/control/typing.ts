// Who is typing in the room that is shown, and that the reader is typing. One
// room at a time.

import type { Clock } from "../client/clock.ts";
import type { Connection, Subscription } from "../client/connection.ts";
import { type Author, authorOf, personOf, read, type WireMessage } from "../state/message.ts";
import { typingChannelOf } from "../state/names.ts";
import { nextExpiry, throttle, withoutExpired, withTypist } from "../state/typing.ts";
import type { RoomControl } from "./room.ts";

export interface TypingOptions {
  readonly connection: Connection;
  readonly clock: Clock;
  /** The reader, as personOf names them. */
  self(): string;
  nameOf(author: Author): string;
}

export class TypingControl {
  #room: RoomControl | null = null;
  #subscription: Subscription | null = null;
  #cancelExpiry: (() => void) | null = null;
  #mayPublish = throttle();

  constructor(private readonly options: TypingOptions) {}

  /** Follows this room and no other. */
  watch(room: RoomControl): void {
    this.#subscription?.unsubscribe();
    this.#cancelExpiry?.();
    if (this.#room) this.#room.typing.value = new Map();
    this.#room = room;
    this.#mayPublish = throttle();
    // Where the channel has a log, what was missed comes right behind
    // subscribed: those people are no longer typing.
    let recovering = false;
    this.#subscription = this.options.connection.subscribe(typingChannelOf(room.name), {
      subscribed: () => {
        recovering = true;
        this.options.clock.after(0, () => { recovering = false; });
      },
      message: (wire) => { if (!recovering) this.#message(room, wire); },
      refused: () => {},
    });
  }

  /** The reader changed the text. */
  typed(): void {
    if (!this.#room || !this.options.connection.online || !this.#mayPublish(this.options.clock.now())) return;
    // A typing message that fails is not repeated: it would be out of date.
    this.options.connection.publish(typingChannelOf(this.#room.name), { type: "typing" }).catch(() => {});
  }

  /** The reader sent the text: the next one is announced at once. */
  sent(): void { this.#mayPublish = throttle(); }

  #message(room: RoomControl, wire: WireMessage): void {
    const fields = wire.data as { type?: unknown } | null;
    if (fields?.type !== "typing" || !("ignored" in read(wire, "", 0))) return;
    const author = authorOf(wire.info, null);
    const person = personOf(author);
    if (person === this.options.self() || room !== this.#room) return;
    room.typing.value = withTypist(room.typing.value, person, this.options.nameOf(author), this.options.clock.now());
    this.#expireLater();
  }

  #expireLater(): void {
    const room = this.#room;
    const expiry = room && nextExpiry(room.typing.value);
    this.#cancelExpiry?.();
    if (!room || expiry === null) return;
    this.#cancelExpiry = this.options.clock.after(Math.max(10, expiry - this.options.clock.now()), () => {
      room.typing.value = withoutExpired(room.typing.value, this.options.clock.now());
      this.#expireLater();
    });
  }
}

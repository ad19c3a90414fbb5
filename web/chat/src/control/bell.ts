// The bell: brings the entries of the user's personal channel to its state. How
// far the user has read is published there, so that all tabs and devices know.

import { signal } from "@preact/signals";
import type { Clock } from "../client/clock.ts";
import type { Connection } from "../client/connection.ts";
import type { API } from "../client/http.ts";
import type { Store } from "../client/store.ts";
import { type Bell, emptyBell, isUnread, newest, type Notice, readUpTo, unreadCount, withEntry } from "../state/bell.ts";
import type { WireMessage } from "../state/message.ts";

const historySize = 200; // entries of the log that are read
const subscribeDelay = 300; // milliseconds in which the server may subscribe by itself

interface StoredMark { readonly epoch: string; readonly read: number }
const isStoredMark = (v: unknown): v is StoredMark => typeof (v as StoredMark | null)?.epoch === "string" && typeof (v as StoredMark).read === "number";

export interface BellOptions {
  readonly connection: Connection;
  readonly api: API;
  readonly clock: Clock;
  readonly store: Store;
  /** What the names of personal channels start with; "" where the server has none. */
  readonly personal: string;
  token(): string;
  user(): string;
  /** A new notice came that is unread. */
  arrived(n: Notice): void;
}

export class BellControl {
  readonly bell = signal<Bell>(emptyBell);
  #channel = "";
  #user = "";

  constructor(private readonly options: BellOptions) {}

  /** The server has subscribed the session to this channel by itself. */
  serverSubscribed(channel: string): void {
    if (channel === this.#own()) void this.#open(channel, this.options.user());
  }

  /** A message in a channel to which the server subscribed by itself. */
  serverMessage(channel: string, wire: WireMessage): void {
    if (channel === this.#channel) this.#message(wire);
  }

  /** A server that does not subscribe users to their channels may still admit them. */
  connected(): void {
    const channel = this.#own();
    if (channel === null) return;
    const user = this.options.user();
    this.options.clock.after(subscribeDelay, () => {
      if (this.#channel === channel || this.#own() !== channel) return;
      this.#channel = channel;
      this.options.connection.subscribe(channel, { subscribed: () => void this.#open(channel, user), message: (w) => this.#message(w), refused: () => {} });
    });
  }

  // The user's personal channel; null when there is none.
  #own(): string | null {
    const user = this.options.user();
    return user === "" || this.options.personal === "" ? null : this.options.personal + user;
  }

  // Reads the log of the user's channel, which is live now.
  async #open(channel: string, user: string): Promise<void> {
    if (channel !== this.#channel || user !== this.#user) this.bell.value = emptyBell;
    this.#channel = channel;
    this.#user = user;
    try {
      const { messages } = await this.options.api.history(channel, this.options.token(), { limit: historySize, reverse: true });
      if (channel !== this.#channel) return;
      this.bell.value = messages.reduce((b, w) => this.#withEntry(b, w), this.bell.value);
    } catch { /* live notices come all the same */ }
    const stored = this.options.store.getJSON<StoredMark | null>(this.#markName, null, isStoredMark);
    if (stored) this.bell.value = readUpTo(this.bell.value, stored.epoch, stored.read);
  }

  #message(wire: WireMessage): void {
    const before = this.bell.value;
    this.bell.value = this.#withEntry(before, wire);
    const first = this.bell.value.notices[0];
    if (first && first !== before.notices[0] && isUnread(this.bell.value, first)) this.options.arrived(first);
  }

  /** Everything is read, on all devices. */
  readAll(): void {
    if (unreadCount(this.bell.value) === 0) return;
    const { epoch } = this.bell.value;
    const upto = newest(this.bell.value);
    this.bell.value = readUpTo(this.bell.value, epoch, upto);
    this.options.store.setJSON(this.#markName, { epoch, read: upto });
    // Where the rules forbid users to publish here, only this browser knows.
    this.options.connection.publish(this.#channel, { type: "read", upto, epoch }).catch(() => {});
  }

  get #markName(): string { return `bell.${this.#user}`; }

  // Notices come from servers: what a user published counts only when it is
  // this user.
  #withEntry(bell: Bell, wire: WireMessage): Bell {
    if (wire.info && (wire.info.user ?? "") !== this.#user) return bell;
    return withEntry(bell, wire, this.options.clock.now());
  }
}

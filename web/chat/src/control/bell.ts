// The bell's channel: the user's own. What was read is written into it, so
// that every tab and device knows.

import { signal } from "@preact/signals";
import * as http from "../client/http.ts";
import type { Link } from "../client/link.ts";
import type { Shelf } from "../client/shelf.ts";
import type { Wire } from "../state/message.ts";
import { type Bell, isUnread, newest, type Notice, quiet, readUpTo, ring, unreadCount } from "../state/bell.ts";

const page = 200; // entries of the log that are looked at

interface Kept { readonly epoch: string; readonly read: number }
const isKept = (v: unknown): v is Kept => typeof (v as Kept | null)?.epoch === "string" && typeof (v as Kept).read === "number";

export class BellControl {
  readonly bell = signal<Bell>(quiet);
  #channel = "";
  #user = "";

  constructor(
    private readonly link: Link,
    private readonly shelf: Shelf,
    private readonly token: () => string,
    private readonly rang: (n: Notice) => void,
  ) {}

  /** The user's channel is live. */
  async open(channel: string, user: string): Promise<void> {
    if (channel !== this.#channel || user !== this.#user) this.bell.value = quiet;
    this.#channel = channel;
    this.#user = user;
    try {
      const { messages } = await http.history(channel, this.token(), { limit: page, reverse: true });
      if (channel !== this.#channel) return;
      this.bell.value = messages.reduce((b, w) => this.#ring(b, w), this.bell.value);
    } catch { /* what comes from now on is there */ }
    const kept = this.shelf.json<Kept | null>(this.#shelfName, null, isKept);
    if (kept) this.bell.value = readUpTo(this.bell.value, kept.epoch, kept.read);
  }

  message(wire: Wire): void {
    const before = this.bell.value;
    this.bell.value = this.#ring(before, { ...wire, time: wire.time ?? Date.now() });
    const top = this.bell.value.notices[0];
    if (top && top !== before.notices[0] && isUnread(this.bell.value, top)) this.rang(top);
  }

  /** Everything up to now is read, here and everywhere. */
  readAll(): void {
    const { epoch } = this.bell.value;
    const upto = newest(this.bell.value);
    if (unreadCount(this.bell.value) === 0) return;
    this.bell.value = readUpTo(this.bell.value, epoch, upto);
    this.shelf.put(this.#shelfName, { epoch, read: upto });
    // Where the rules keep users from publishing here, it is known on this
    // device alone.
    this.link.publish(this.#channel, { type: "read", upto, epoch }).catch(() => {});
  }

  get #shelfName(): string { return `bell.${this.#user}`; }

  // Notices come from servers; what is stamped with a user counts only when it
  // is one's own.
  #ring(bell: Bell, wire: Wire): Bell {
    const by = wire.info?.user ?? "";
    if (wire.info && by !== this.#user) return bell;
    const isMark = (wire.data as { type?: unknown } | null)?.type === "read";
    return isMark && by === "" && this.#user !== "" && wire.info ? bell : ring(bell, wire, Date.now());
  }
}

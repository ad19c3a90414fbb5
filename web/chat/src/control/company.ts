// Who is in the open room, and who types in it. Looks again by itself while
// the tab is in sight; one room at a time.

import type { Channel, Link } from "../client/link.ts";
import { authorOf, personOf, read } from "../state/message.ts";
import { typingChannelOf } from "../state/names.ts";
import { difference, type Member, type Members, membersOf } from "../state/presence.ts";
import { withTraffic } from "../state/room.ts";
import { expired, heard, nextEnd, throttle } from "../state/typing.ts";
import type { RoomControl } from "./room.ts";

const soon = 150; // milliseconds after the server said that somebody came or went
const patience = 6_000; // who is away for less has not left

// A look costs the server work by the number of people: a small room is looked
// at every second, so that a dead node's people are gone within five.
const pauseFor = (people: number) => Math.min(15_000, Math.max(1_000, people * 50));

export class Company {
  #room: RoomControl | null = null;
  #typing: Channel | null = null;
  #timer = 0;
  #expiry = 0;
  #throttle = throttle();
  #announced: Members | null = null; // as far as the list of messages tells
  #missing = new Map<string, number>(); // since when

  constructor(private readonly link: Link, private readonly self: () => string, private readonly nameOf: (m: Member["author"]) => string) {}

  /** Moves to another room. */
  attend(room: RoomControl): void {
    this.#typing?.leave();
    window.clearTimeout(this.#timer);
    this.#room = room;
    this.#announced = null;
    this.#missing.clear();
    this.#throttle = throttle();
    // Where the channel has a log, what was missed comes back at once behind
    // joined: nobody types that any more.
    let past = false;
    this.#typing = this.link.join(typingChannelOf(room.name), {
      joined: () => {
        past = true;
        setTimeout(() => { past = false; });
      },
      message: (wire) => {
        if (past) return;
        const fields = wire.data as { type?: unknown } | null;
        if (fields?.type !== "typing" || !("ignored" in read(wire, "", 0))) return;
        const author = authorOf(wire.info, null);
        const person = personOf(author);
        if (person === this.self() || room !== this.#room) return;
        room.typing.value = heard(room.typing.value, person, this.nameOf(author), Date.now());
        this.#expireLater();
      },
      refused: () => {},
    });
    this.look();
  }

  /** The reader types. */
  types(): void {
    if (!this.#room || !this.link.online || !this.#throttle(Date.now())) return;
    // Nobody waits for this, and nobody is told when it fails.
    this.link.publish(typingChannelOf(this.#room.name), { type: "typing" }).catch(() => {});
  }

  /** The reader has spoken: the next word may be said at once. */
  spoke(): void { this.#throttle = throttle(); }

  /** Looks soon. */
  look(): void {
    window.clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => void this.#look(), soon);
  }

  async #look(): Promise<void> {
    const room = this.#room;
    if (!room) return;
    if (this.link.online && room.live.value && !document.hidden) {
      try {
        this.#take(room, membersOf(await room.presence()));
      } catch { /* the rules may keep it from us; the next look tells */ }
    }
    if (room !== this.#room) return;
    window.clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => void this.#look(), pauseFor(room.members.value?.size ?? 0));
  }

  #take(room: RoomControl, now: Members): void {
    if (room !== this.#room) return;
    const before = room.members.value;
    if (!before || !isSame(before, now)) room.members.value = now;
    this.#announce(room, now);
  }

  #announce(room: RoomControl, now: Members): void {
    if (this.#announced === null) {
      this.#announced = now;
      return;
    }
    const { joined, left } = difference(this.#announced, now);
    for (const person of [...this.#missing.keys()]) if (now.has(person)) this.#missing.delete(person);
    const gone: Member[] = [];
    for (const m of left) {
      const since = this.#missing.get(m.person);
      if (since === undefined) this.#missing.set(m.person, Date.now());
      else if (Date.now() - since >= patience) gone.push(m);
    }
    for (const m of gone) this.#missing.delete(m.person);
    const kept = new Map(this.#announced);
    for (const m of gone) kept.delete(m.person);
    for (const m of joined) kept.set(m.person, m);
    this.#announced = kept;
    const names = (list: Member[]) => list.filter((m) => m.person !== this.self()).map((m) => this.nameOf(m.author));
    room.room.value = withTraffic(room.room.value, names(joined), names(gone));
  }

  #expireLater(): void {
    const room = this.#room;
    const end = room && nextEnd(room.typing.value);
    window.clearTimeout(this.#expiry);
    if (!room || end === null) return;
    this.#expiry = window.setTimeout(() => {
      room.typing.value = expired(room.typing.value, Date.now());
      this.#expireLater();
    }, Math.max(10, end! - Date.now()));
  }
}

// A list that shows the same is not drawn again.
const isSame = (a: Members, b: Members): boolean =>
  a.size === b.size && [...b.values()].every((m) => {
    const known = a.get(m.person);
    return known !== undefined && known.sessions === m.sessions && known.author.name === m.author.name;
  });

// Who is in the room that is shown. Asks the server again and again while the
// tab is visible; one room at a time.

import type { Clock } from "../client/clock.ts";
import type { Connection } from "../client/connection.ts";
import type { Author } from "../state/message.ts";
import { difference, type Member, type Members, membersOf } from "../state/presence.ts";
import { withPresenceNote } from "../state/room.ts";
import type { RoomControl } from "./room.ts";

const refreshDelay = 150; // milliseconds after the server said that somebody joined or left
const leaveDelay = 6_000; // milliseconds: who is away for less has not left

// An answer costs the server work by the number of people. A small room is
// asked for every second, so that a dead node's people are gone within five.
const intervalFor = (people: number) => Math.min(15_000, Math.max(1_000, people * 50));

export interface PresenceOptions {
  readonly connection: Connection;
  readonly clock: Clock;
  hidden(): boolean;
  /** The reader, as personOf names them. */
  self(): string;
  nameOf(author: Author): string;
}

export class PresenceControl {
  #room: RoomControl | null = null;
  #cancelRefresh: (() => void) | null = null;
  #announced: Members | null = null; // who is there, as the notes in the room say
  #missing = new Map<string, number>(); // since when, by person

  constructor(private readonly options: PresenceOptions) {}

  /** Follows this room and no other. */
  watch(room: RoomControl): void {
    this.#room = room;
    this.#announced = null;
    this.#missing.clear();
    this.refreshSoon();
  }

  refreshSoon(): void { this.#refreshAfter(refreshDelay); }

  #refreshAfter(milliseconds: number): void {
    this.#cancelRefresh?.();
    this.#cancelRefresh = this.options.clock.after(milliseconds, () => void this.#refresh());
  }

  async #refresh(): Promise<void> {
    const room = this.#room;
    if (!room) return;
    if (this.options.connection.online && room.live.value && !this.options.hidden()) {
      try {
        const members = membersOf(await room.presence());
        if (room === this.#room) this.#take(room, members);
      } catch { /* the rules may forbid it; the next answer tells */ }
    }
    if (room === this.#room) this.#refreshAfter(intervalFor(room.members.value?.size ?? 0));
  }

  #take(room: RoomControl, members: Members): void {
    const before = room.members.value;
    if (!before || !isSame(before, members)) room.members.value = members;
    const announced = this.#announced;
    if (announced === null) this.#announced = members; // who was there before the reader is no news
    else this.#announce(room, announced, members);
  }

  #announce(room: RoomControl, announced: Members, members: Members): void {
    const { joined, left } = difference(announced, members);
    for (const person of [...this.#missing.keys()]) if (members.has(person)) this.#missing.delete(person);
    const gone = left.filter((m) => this.#isGone(m.person));
    const there = new Map(announced);
    for (const m of gone) {
      this.#missing.delete(m.person);
      there.delete(m.person);
    }
    for (const m of joined) there.set(m.person, m);
    this.#announced = there;
    const names = (list: Member[]) => list.filter((m) => m.person !== this.options.self()).map((m) => this.options.nameOf(m.author));
    room.room.value = withPresenceNote(room.room.value, names(joined), names(gone));
  }

  #isGone(person: string): boolean {
    const now = this.options.clock.now();
    const since = this.#missing.get(person);
    if (since === undefined) this.#missing.set(person, now);
    return since !== undefined && now - since >= leaveDelay;
  }
}

// A list that shows the same is not drawn again.
const isSame = (a: Members, b: Members): boolean =>
  a.size === b.size && [...b.values()].every((m) => {
    const known = a.get(m.person);
    return known !== undefined && known.sessions === m.sessions && known.author.name === m.author.name;
  });

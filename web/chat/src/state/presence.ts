// Who is in a room: people, not tabs. One person may hold many sessions.

import { type Author, authorOf, personOf, type WireInfo } from "./message.ts";

export interface Member {
  readonly person: string;
  readonly author: Author;
  readonly sessions: number;
}

export type Members = ReadonlyMap<string, Member>;

/** Folds sessions into people. Sessions without a user each stand for a person. */
export function membersOf(clients: Readonly<Record<string, WireInfo>>): Members {
  const members = new Map<string, Member>();
  for (const client of Object.keys(clients)) {
    const author = authorOf({ ...clients[client], client }, null);
    const person = personOf(author);
    const known = members.get(person);
    members.set(person, known ? { ...known, sessions: known.sessions + 1 } : { person, author, sessions: 1 });
  }
  return members;
}

/** What changed between two looks. The first look is no news. */
export function difference(before: Members | null, after: Members): { joined: Member[]; left: Member[] } {
  if (before === null) return { joined: [], left: [] };
  return {
    joined: [...after.values()].filter((m) => !before.has(m.person)),
    left: [...before.values()].filter((m) => !after.has(m.person)),
  };
}

/** For a list: signed-in people first, then by name. */
export function sorted(members: Members, compare: (a: string, b: string) => number): Member[] {
  return [...members.values()].sort((a, b) =>
    Number(a.author.guest) - Number(b.author.guest) || compare(a.author.name ?? "", b.author.name ?? "") || (a.person < b.person ? -1 : 1));
}

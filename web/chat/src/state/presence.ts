// Who is in a room. One person may have several sessions.

import { type Author, authorOf, personOf, type PublisherInfo } from "./message.ts";

export interface Member {
  readonly person: string;
  readonly author: Author;
  readonly sessions: number;
}

export type Members = ReadonlyMap<string, Member>;

/** Groups sessions by person. Each session without a user is a person of its own. */
export function membersOf(clients: Readonly<Record<string, PublisherInfo>>): Members {
  const members = new Map<string, Member>();
  for (const client of Object.keys(clients)) {
    const author = authorOf({ ...clients[client], client }, null);
    const person = personOf(author);
    const known = members.get(person);
    members.set(person, known ? { ...known, sessions: known.sessions + 1 } : { person, author, sessions: 1 });
  }
  return members;
}

/** Who joined and who left between two states. */
export function difference(before: Members, after: Members): { joined: Member[]; left: Member[] } {
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

// Who is typing. Said at most every 3 s, believed for 5 s, never stored.

export const sayEvery = 3_000; // milliseconds
export const believeFor = 5_000;

export interface Typist {
  readonly name: string;
  readonly until: number;
}

export type Typing = ReadonlyMap<string, Typist>; // by person

const most = 50; // a crowd is "and others" long before

/** Somebody said that they type. */
export function heard(t: Typing, person: string, name: string, now: number): Typing {
  if (!t.has(person) && t.size >= most) return t;
  return new Map(t).set(person, { name, until: now + believeFor });
}

/** Somebody spoke, or left: they type no more. */
export function stopped(t: Typing, person: string): Typing {
  if (!t.has(person)) return t;
  const next = new Map(t);
  next.delete(person);
  return next;
}

/** Forgets whose time is over; the same map when there is none. */
export function expired(t: Typing, now: number): Typing {
  const left = [...t].filter(([, typist]) => typist.until > now);
  return left.length === t.size ? t : new Map(left);
}

/** When the next one ends, or null. */
export const nextEnd = (t: Typing): number | null => (t.size === 0 ? null : Math.min(...[...t.values()].map((x) => x.until)));

/** Holds back what was said a moment ago. Its own memory, no clock. */
export function throttle(every = sayEvery): (now: number) => boolean {
  let last = -Infinity;
  return (now) => {
    if (now - last < every) return false;
    last = now;
    return true;
  };
}

// Who is typing. A typing message is sent at most every 3 s, is valid for 5 s,
// and is not stored.

export const typingInterval = 3_000; // milliseconds
export const typingLifetime = 5_000;

export interface Typist {
  readonly name: string;
  readonly until: number;
}

export type Typing = ReadonlyMap<string, Typist>; // by person

const maxTypists = 50; // the view names three of them

/** A typing message of this person came. */
export function withTypist(t: Typing, person: string, name: string, now: number): Typing {
  if (!t.has(person) && t.size >= maxTypists) return t;
  return new Map(t).set(person, { name, until: now + typingLifetime });
}

/** This person published a message, so they are no longer typing. */
export function withoutTypist(t: Typing, person: string): Typing {
  if (!t.has(person)) return t;
  const next = new Map(t);
  next.delete(person);
  return next;
}

/** Without those whose time is over; the same map when there are none. */
export function withoutExpired(t: Typing, now: number): Typing {
  const left = [...t].filter(([, typist]) => typist.until > now);
  return left.length === t.size ? t : new Map(left);
}

/** When the next one expires, or null. */
export const nextExpiry = (t: Typing): number | null => (t.size === 0 ? null : Math.min(...[...t.values()].map((x) => x.until)));

/** Whether something may be done now, after the last time that it was. */
export function throttle(every = typingInterval): (now: number) => boolean {
  let last = -Infinity;
  return (now) => {
    if (now - last < every) return false;
    last = now;
    return true;
  };
}

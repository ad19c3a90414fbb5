// Messages that wait for the server. They survive a reload, leave in order,
// and keep their id through every attempt.
//
// 1. One is on its way at a time: the next leaves when it is settled.
// 2. An attempt whose answer was lost is looked for in the log before it is
//    made again.
// 3. What the server refuses stays, marked, until its writer decides.

export interface Letter {
  readonly id: string;
  readonly room: string;
  readonly content: string;
  readonly re: string | null;
  readonly written: number; // Unix milliseconds
  readonly state: "waiting" | "sending" | "unsure" | "failed";
  /** Where the log stood before the first attempt; null: never tried. */
  readonly since: { readonly epoch: string; readonly offset: number } | null;
  readonly reason: string; // why it failed, in the server's words; "" otherwise
}

export type Outbox = readonly Letter[];

export const write = (box: Outbox, letter: Pick<Letter, "id" | "room" | "content" | "re" | "written">): Outbox =>
  [...box, { ...letter, state: "waiting", since: null, reason: "" }];

/** The one to send now: the first of each room goes first, and only alone. */
export function next(box: Outbox): Letter | null {
  const busy = new Set<string>();
  for (const letter of box) {
    if (letter.state === "failed") continue;
    if (letter.state === "sending") busy.add(letter.room);
    else if (!busy.has(letter.room)) return letter;
    busy.add(letter.room);
  }
  return null;
}

const change = (box: Outbox, id: string, to: Partial<Letter>): Outbox =>
  box.map((l) => (l.id === id ? { ...l, ...to } : l));

export const sending = (box: Outbox, id: string, since: Letter["since"]): Outbox =>
  box.map((l) => (l.id === id ? { ...l, state: "sending", since: l.since ?? since } : l));

/** The answer was lost: it may be in the log or not. */
export const unsure = (box: Outbox, id: string): Outbox => change(box, id, { state: "unsure" });

export const waiting = (box: Outbox, id: string): Outbox => change(box, id, { state: "waiting", reason: "" });

export const failed = (box: Outbox, id: string, reason: string): Outbox => change(box, id, { state: "failed", reason });

/** It is in the log, or its writer gave it up. */
export const settle = (box: Outbox, id: string): Outbox => {
  const left = box.filter((l) => l.id !== id);
  return left.length === box.length ? box : left;
};

/** After a loss of the connection nothing is on its way any more. */
export const interrupted = (box: Outbox): Outbox =>
  box.some((l) => l.state === "sending") ? box.map((l) => (l.state === "sending" ? { ...l, state: "unsure" as const } : l)) : box;

const most = 200; // letters that are kept; more is a program, not a person

export const save = (box: Outbox): string => JSON.stringify(box.slice(-most));

/** Reads what save wrote; anything else is an empty outbox. */
export function load(text: string | null): Outbox {
  let list: unknown;
  try {
    list = JSON.parse(text ?? "[]");
  } catch {
    return [];
  }
  if (!Array.isArray(list)) return [];
  return interrupted(list.flatMap((l): Letter[] => (isLetter(l) ? [l] : [])).slice(-most));
}

function isLetter(v: unknown): v is Letter {
  if (v === null || typeof v !== "object") return false;
  const l = v as Record<string, unknown>;
  return typeof l.id === "string" && typeof l.room === "string" && typeof l.content === "string" &&
    typeof l.written === "number" && typeof l.reason === "string" && (l.re === null || typeof l.re === "string") &&
    ["waiting", "sending", "unsure", "failed"].includes(l.state as string) && isPlace(l.since);
}

function isPlace(v: unknown): boolean {
  if (v === null) return true;
  const p = v as Record<string, unknown> | undefined;
  return typeof p === "object" && typeof p.epoch === "string" && typeof p.offset === "number";
}

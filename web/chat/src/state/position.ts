// A position in a channel's log.

export interface Position {
  readonly epoch: string; // changes when the log is lost; "" before anything is known
  readonly offset: number; // grows by 1 with every entry of the log
}

export const isPosition = (v: unknown): v is Position =>
  typeof (v as Position | null)?.epoch === "string" && typeof (v as Position).offset === "number";

/** A position as one word: the key of the message there. */
export const keyOf = (epoch: string, offset: number) => `${epoch}.${offset}`;

// Messages and changes as the server sends them.

import { type Change, type Message, read, type WireMessage } from "../src/state/message.ts";

export const ann = { user: "ann", connInfo: { name: "Ann", color: 1 } };
export const bob = { user: "bob", connInfo: { name: "Bob", color: 2 } };

/** The message at this offset of epoch e, by Ann. */
export function message(offset: number, more: WireMessage = {}): Message {
  const r = read({ data: { content: `m${offset}` }, epoch: "e", offset, info: ann, ...more }, `live ${offset}`, 1_000);
  if (!("message" in r)) throw new Error("not a message");
  return r.message;
}

export function change(offset: number, data: object, info: WireMessage["info"] = ann): Change {
  const r = read({ data, epoch: "e", offset, info }, "", 0);
  if (!("change" in r)) throw new Error("not a change");
  return r.change;
}

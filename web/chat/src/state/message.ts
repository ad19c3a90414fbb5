// One message as the app knows it. Any JSON can be read: reading never throws,
// and the result is text, never markup.

import { keyOf } from "./position.ts";

/** How a message was published, as the server names it. */
export type Via = "http" | "raw" | "plain" | "fcall" | "xadd" | "sdk";

/**
 * Who published something. stamped: the server named them. Otherwise name is
 * what the publisher claims, or null when there is no claim.
 */
export interface Author {
  readonly user: string;
  readonly client: string;
  readonly name: string | null;
  readonly color: number;
  readonly guest: boolean;
  readonly stamped: boolean;
  readonly moderator: boolean;
}

/** A message as the server sends it: a history entry or a publication. */
export interface WireMessage {
  readonly data?: unknown;
  readonly b64?: string;
  readonly epoch?: string;
  readonly offset?: number;
  readonly time?: number;
  readonly via?: string;
  readonly info?: PublisherInfo | undefined;
}

export interface PublisherInfo {
  readonly user?: string;
  readonly client?: string;
  readonly session?: string;
  readonly conn_info?: unknown;
  readonly connInfo?: unknown;
}

export interface Message {
  readonly kind: "message";
  readonly key: string;
  readonly epoch: string;
  readonly offset: number; // 0: the channel keeps no log
  readonly time: number; // Unix milliseconds
  readonly via: Via | null;
  readonly author: Author;
  readonly id: string | null; // the sender's own, for reconciliation
  readonly text: string;
  readonly format: "chat" | "plain" | "data" | "binary";
  readonly bytes: number; // size of a binary payload
  readonly re: string | null; // key of the message that this one answers
  readonly sendState: SendState;
  readonly reason?: string; // why it failed, in the reader's language
  readonly edited: boolean;
  readonly deleted: boolean;
  readonly reactions: readonly Reaction[];
}

/** How far the reader's own message has come. "sent": it is in the log. */
export type SendState = "sent" | "waiting" | "sending" | "failed";

export interface Reaction {
  readonly emoji: string;
  readonly users: readonly string[];
}

/** A message about another message. */
export interface Change {
  readonly type: "edit" | "delete" | "reaction";
  readonly of: string; // key of the message meant
  readonly by: Author;
  readonly content: string;
  readonly emoji: string;
  readonly on: boolean;
  readonly key: string;
}

export type Read = { readonly message: Message } | { readonly change: Change } | { readonly ignored: true };

const maxName = 80;
const maxText = 20_000; // characters kept of one message

const isObject = (v: unknown): v is Record<string, unknown> => v !== null && typeof v === "object" && !Array.isArray(v);

// Own properties only: {"__proto__": …} in JSON is an own property, and what
// Object.prototype has was sent by nobody.
const own = (o: Record<string, unknown>, name: string): unknown => (Object.hasOwn(o, name) ? o[name] : undefined);

const textOf = (v: unknown, longest: number): string | null =>
  typeof v === "string" && v.trim() !== "" ? v.slice(0, longest) : null;

const vias: readonly string[] = ["http", "raw", "plain", "fcall", "xadd", "sdk"];
const viaOf = (v: unknown): Via | null => (typeof v === "string" && vias.includes(v) ? (v as Via) : null);

/** The author as the server names them; the claimed name counts only where it names nobody. */
export function authorOf(info: PublisherInfo | undefined, claimed: string | null): Author {
  const raw = info?.conn_info ?? info?.connInfo;
  const conn = isObject(raw) ? raw : {};
  const user = typeof info?.user === "string" ? info.user : "";
  const name = textOf(own(conn, "name"), maxName);
  const stamped = user !== "" || name !== null;
  const color = own(conn, "color");
  return {
    user,
    client: info?.client ?? info?.session ?? "",
    name: name ?? (user !== "" ? user.slice(0, maxName) : claimed),
    color: typeof color === "number" && Number.isInteger(color) ? Math.abs(color) % colors : colorOf(user || (name ?? claimed ?? "")),
    guest: stamped ? own(conn, "guest") === true : true,
    stamped,
    moderator: stamped && own(conn, "moderator") === true,
  };
}

/**
 * Whether somebody chose this name who has not signed in: a guest, or a client
 * that put it into a message. What programs publish is marked by its way in.
 */
export const isGuestName = (a: Author): boolean => a.guest && a.name !== null && (a.stamped || a.client !== "");

/** How many colours a person may have. */
export const colors = 12; // as many as the server gives to guests

export function colorOf(s: string): number {
  let h = 2166136261;
  for (let i = 0; i < s.length; i++) h = Math.imul(h ^ s.charCodeAt(i), 16777619);
  return (h >>> 0) % colors;
}

/** Reads what the server sent. liveKey is the key of a message without a position. */
export function read(wire: WireMessage, liveKey: string, now: number): Read {
  const epoch = wire.epoch ?? "";
  const offset = wire.offset ?? 0;
  const key = offset > 0 ? keyOf(epoch, offset) : liveKey;
  const fields = isObject(wire.data) ? wire.data : {};
  const type = own(fields, "type");
  const author = authorOf(wire.info, textOf(own(fields, "name"), maxName));
  if (type === "edit" || type === "delete" || type === "reaction") return readChange(type, fields, author, key);
  if (type === "typing" || type === "read") return { ignored: true };
  const body = bodyOf(wire, fields);
  return {
    message: {
      kind: "message", key, epoch, offset, author, ...body,
      time: typeof wire.time === "number" && wire.time > 0 ? wire.time : now,
      via: viaOf(wire.via),
      id: textOf(own(fields, "id"), maxName),
      re: textOf(own(fields, "re"), 200),
      sendState: "sent", edited: false, deleted: false, reactions: [],
    },
  };
}

function readChange(type: Change["type"], fields: Record<string, unknown>, by: Author, key: string): Read {
  const of = textOf(own(fields, "of"), 200);
  const content = own(fields, "content");
  const emoji = textOf(own(fields, "emoji"), 16);
  if (of === null || (type === "edit" && typeof content !== "string") || (type === "reaction" && emoji === null)) return { ignored: true };
  return {
    change: {
      type, of, by, key,
      content: typeof content === "string" ? content.slice(0, maxText) : "",
      emoji: emoji ?? "",
      on: own(fields, "on") !== false,
    },
  };
}

function bodyOf(wire: WireMessage, fields: Record<string, unknown>): Pick<Message, "text" | "format" | "bytes"> {
  const b64 = wire.b64 ?? binaryOf(fields);
  if (b64 !== null) return { text: "", format: "binary", bytes: sizeOfBase64(b64) };
  const content = own(fields, "content");
  if (typeof content === "string") return { text: content.slice(0, maxText), format: "chat", bytes: 0 };
  if (typeof wire.data === "string") return { text: wire.data.slice(0, maxText), format: "plain", bytes: 0 };
  return { text: jsonOf(wire.data).slice(0, maxText), format: "data", bytes: 0 };
}

// JSON that is nested deep can be read, but not written: the engine's stack ends.
function jsonOf(data: unknown): string {
  try {
    return JSON.stringify(data) ?? "";
  } catch {
    return Array.isArray(data) ? "[…]" : "{…}";
  }
}

// The Centrifuge door sends bytes that are not JSON to JSON clients as
// {"b64": "…"}, an object with no other field.
function binaryOf(fields: Record<string, unknown>): string | null {
  const b64 = own(fields, "b64");
  return typeof b64 === "string" && Object.keys(fields).length === 1 && /^[A-Za-z0-9+/]+={0,2}$/.test(b64) ? b64 : null;
}

function sizeOfBase64(s: string): number {
  const padding = s.endsWith("==") ? 2 : s.endsWith("=") ? 1 : 0;
  return Math.floor((s.length / 4) * 3) - padding;
}

/**
 * Which messages count as the same person's. A stamped name and a claimed one
 * are never the same person, so a name in a payload impersonates nobody.
 */
export function personOf(a: Author): string {
  if (a.user !== "") return `user ${a.user}`;
  if (a.client !== "") return `client ${a.client}`;
  return `claim ${a.name ?? ""}`;
}

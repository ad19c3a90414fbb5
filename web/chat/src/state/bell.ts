// The bell: what a server told this user, and how far the user has read. Both
// are in the user's own channel, so that every tab and device knows.

import type { Wire } from "./message.ts";

export interface Notice {
  readonly key: string;
  readonly epoch: string;
  readonly offset: number;
  readonly time: number;
  readonly title: string;
  readonly text: string;
  readonly link: string | null;
  readonly priority: "low" | "normal" | "high";
}

export interface Bell {
  readonly notices: readonly Notice[]; // newest first
  readonly epoch: string;
  readonly read: number; // offset up to which all is read
}

export const quiet: Bell = { notices: [], epoch: "", read: 0 };

const most = 200; // notices kept

/** One entry of the user's channel: a notice, or how far somebody has read. */
export function ring(bell: Bell, wire: Wire, now: number): Bell {
  const fields = isObject(wire.data) ? wire.data : {};
  const get = (name: string) => (Object.hasOwn(fields, name) ? fields[name] : undefined);
  const epoch = wire.epoch ?? "";
  const offset = wire.offset ?? 0;
  if (get("type") === "read") {
    const upto = get("upto");
    const holds = typeof upto === "number" && Number.isSafeInteger(upto) && (get("epoch") ?? epoch) === epoch;
    return holds ? readUpTo(bell, epoch, upto) : bell;
  }
  const title = word(get("title"), 200) ?? word(get("content"), 200);
  const text = word(get("text"), 2_000) ?? (typeof wire.data === "string" ? word(wire.data, 2_000) : null);
  if (title === null && text === null) return bell;
  const key = `${epoch}.${offset}`;
  if (offset > 0 && bell.notices.some((n) => n.key === key)) return bell;
  const priority = get("priority");
  const notice: Notice = {
    key, epoch, offset, title: title ?? "", text: text ?? "",
    time: typeof wire.time === "number" && wire.time > 0 ? wire.time : now,
    link: linkOf(get("link")),
    priority: priority === "low" || priority === "high" ? priority : "normal",
  };
  const notices = [...bell.notices, notice].sort((a, b) => (a.epoch === b.epoch ? b.offset - a.offset : b.time - a.time)).slice(0, most);
  return bell.epoch === epoch ? { ...bell, notices } : { notices, epoch, read: bell.epoch === "" ? bell.read : 0 };
}

/** All up to this offset is read; a mark never goes back. */
export function readUpTo(bell: Bell, epoch: string, offset: number): Bell {
  if (bell.epoch !== "" && bell.epoch !== epoch) return bell;
  return offset <= bell.read ? bell : { ...bell, epoch, read: offset };
}

export const isUnread = (bell: Bell, n: Notice): boolean => n.epoch === bell.epoch && n.offset > bell.read;

export const unreadCount = (bell: Bell): number => bell.notices.filter((n) => isUnread(bell, n)).length;

/** The newest offset, to be written as the mark. */
export const newest = (bell: Bell): number => Math.max(0, ...bell.notices.filter((n) => n.epoch === bell.epoch).map((n) => n.offset));

/** Links are http, https, mailto, or a path of this site; anything else is none. */
export function linkOf(v: unknown): string | null {
  if (typeof v !== "string" || v.length > 2_000) return null;
  if (/^\/(?![/\\])[^\u0000-\u0020\\]*$/.test(v)) return v;
  try {
    const url = new URL(v);
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

const isObject = (v: unknown): v is Record<string, unknown> => v !== null && typeof v === "object" && !Array.isArray(v);
const word = (v: unknown, longest: number): string | null => (typeof v === "string" && v.trim() !== "" ? v.slice(0, longest) : null);

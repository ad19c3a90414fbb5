// The bell: the notices that servers published for this user, and how far the
// user has read. Both are in the user's personal channel, so that all tabs and
// devices show the same.

import type { WireMessage } from "./message.ts";

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

export const emptyBell: Bell = { notices: [], epoch: "", read: 0 };

const maxNotices = 200;

/** Adds one entry of the personal channel: a notice, or how far the user has read. */
export function withEntry(bell: Bell, wire: WireMessage, now: number): Bell {
  const fields = isObject(wire.data) ? wire.data : {};
  const get = (name: string) => (Object.hasOwn(fields, name) ? fields[name] : undefined);
  const epoch = wire.epoch ?? "";
  const offset = wire.offset ?? 0;
  if (get("type") === "read") {
    const upto = get("upto");
    const isValid = typeof upto === "number" && Number.isSafeInteger(upto) && (get("epoch") ?? epoch) === epoch;
    return isValid ? readUpTo(bell, epoch, upto) : bell;
  }
  const title = textOf(get("title"), 200) ?? textOf(get("content"), 200);
  const text = textOf(get("text"), 2_000) ?? (typeof wire.data === "string" ? textOf(wire.data, 2_000) : null);
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
  const notices = [...bell.notices, notice].sort((a, b) => (a.epoch === b.epoch ? b.offset - a.offset : b.time - a.time)).slice(0, maxNotices);
  return bell.epoch === epoch ? { ...bell, notices } : { notices, epoch, read: bell.epoch === "" ? bell.read : 0 };
}

/** All up to this offset is read; the mark never moves back. */
export function readUpTo(bell: Bell, epoch: string, offset: number): Bell {
  if (bell.epoch !== "" && bell.epoch !== epoch) return bell;
  return offset <= bell.read ? bell : { ...bell, epoch, read: offset };
}

export const isUnread = (bell: Bell, n: Notice): boolean => n.epoch === bell.epoch && n.offset > bell.read;

export const unreadCount = (bell: Bell): number => bell.notices.filter((n) => isUnread(bell, n)).length;

/** The offset of the newest notice, to be published as the mark. */
export const newest = (bell: Bell): number => Math.max(0, ...bell.notices.filter((n) => n.epoch === bell.epoch).map((n) => n.offset));

/** A link to http, https, mailto or a path of this site; null for anything else. */
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
const textOf = (v: unknown, longest: number): string | null => (typeof v === "string" && v.trim() !== "" ? v.slice(0, longest) : null);

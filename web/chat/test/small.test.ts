// Typing, presence, unread, rows, names, banner, bell, words.

import { expect, test } from "vitest";
import { bannerFor, stateAfter } from "../src/state/connection.ts";
import { en } from "../src/i18n/en.ts";
import { languageFor } from "../src/i18n/index.ts";
import { zh } from "../src/i18n/zh.ts";
import { type Bell, isUnread, linkOf, emptyBell, readUpTo, withEntry, unreadCount } from "../src/state/bell.ts";
import { type Message, read } from "../src/state/message.ts";
import { channelOf, pathOf, roomAt, roomName } from "../src/state/names.ts";
import { difference, membersOf } from "../src/state/presence.ts";
import { emptyRoom, withMessages } from "../src/state/room.ts";
import { rowsOf } from "../src/state/rows.ts";
import { withoutExpired, withTypist, nextExpiry, withoutTypist, throttle } from "../src/state/typing.ts";
import { advance, countUnread, firstUnread } from "../src/state/unread.ts";

const message = (offset: number, time = 0, user = "ann", data: unknown = { content: `m${offset}` }): Message => {
  const r = read({ data, epoch: "e", offset, time, info: { user } }, "", 1);
  if (!("message" in r)) throw new Error();
  return r.message;
};

test("typing is said at most every 3 s and believed for 5 s", () => {
  const may = throttle();
  expect([0, 2_999, 3_000, 5_000, 6_000].map(may)).toEqual([true, false, true, false, true]);
  let t = withTypist(new Map(), "user a", "Ann", 1_000);
  expect(withoutExpired(t, 5_999)).toBe(t);
  expect(withoutExpired(t, 6_000).size).toBe(0);
  expect(nextExpiry(t)).toBe(6_000);
  t = withTypist(t, "user b", "Bo", 2_000);
  expect([...withoutTypist(t, "user a").keys()]).toEqual(["user b"]);
});

test("a crowd of typists is two names and a number", () => {
  expect(en.typing(["Ann"], 0)).toBe("Ann is typing…");
  expect(en.typing(["Ann", "Bo", "Cy"], 0)).toBe("Ann, Bo and Cy are typing…");
  expect(en.typing(["Ann", "Bo"], 3)).toBe("Ann, Bo and 3 others are typing…");
  expect(zh.typing(["Ann", "Bo"], 3)).toBe("Ann、Bo 和另外 3 人 正在输入…");
});

test("presence has one entry for a person, whatever the number of tabs", () => {
  const before = membersOf({ c1: { user: "ann" }, c2: { user: "ann" }, c3: { user: "bob" } });
  expect(before.size).toBe(2);
  expect(before.get("user ann")!.sessions).toBe(2);
  const after = membersOf({ c2: { user: "ann" }, c4: { user: "cy" } });
  const { joined, left } = difference(before, after);
  expect([joined.map((m) => m.person), left.map((m) => m.person)]).toEqual([["user cy"], ["user bob"]]);
  expect(membersOf({ c1: {}, c2: {} }).size).toBe(2); // nobody known: each is somebody
});

test("unread counts others' messages behind the mark", () => {
  const { items } = withMessages(emptyRoom("x"), [1, 2, 3, 4].map((n) => message(n, 0, n === 3 ? "me" : "ann")));
  const own = (m: Message) => m.author.user === "me";
  const mark = { epoch: "e", offset: 2 };
  expect(countUnread(items, mark, own)).toBe(1);
  expect(firstUnread(items, mark, own)).toBe("e.4");
  expect(firstUnread(items, { epoch: "e", offset: 4 }, own)).toBe(null);
  expect(countUnread(items, null, own)).toBe(0);
  expect(advance(mark, "e", 1)).toBe(mark);
  expect(advance(mark, "e", 9)).toEqual({ epoch: "e", offset: 9 });
  expect(advance(mark, "f", 1)).toEqual({ epoch: "f", offset: 1 });
});

test("rows: day separators, groups within 5 minutes, the divider; the same wherever the window begins", () => {
  const day = 86_400_000;
  const at = (n: number, time: number, user = "ann") => message(n, time + 10 * day, user);
  const { items } = withMessages(emptyRoom("x"), [at(1, 0), at(2, 60_000), at(3, 6 * 60_000 + 1), at(4, 6 * 60_000 + 2, "bob"), at(5, 2 * day)]);
  const kinds = (start: number, unread: string | null = null) => rowsOf(items, start, items.length, unread).map((r) => (r.type === "message" ? (r.head ? "head" : "more") : r.type));
  expect(kinds(0)).toEqual(["day", "head", "more", "head", "head", "day", "head"]);
  expect(kinds(1)).toEqual(["more", "head", "head", "day", "head"]);
  expect(kinds(0, "e.2")).toEqual(["day", "head", "unread", "head", "head", "head", "day", "head"]);
});

test("rooms have addresses and channels", () => {
  expect(roomName("#Plans for May")).toBe("plans-for-may");
  expect(roomName("项目")).toBe("项目");
  for (const bad of ["", "  ", "a/b", "<b>", "-x", "x".repeat(81), "a\u202eb", "a{b}", "a?b"]) expect(roomName(bad)).toBe(null);
  expect(channelOf("lobby")).toBe("chat");
  expect(channelOf("ops")).toBe("chat:ops");
  expect(roomAt(pathOf("项目"))).toBe("项目");
  for (const odd of ["/", "/r/", "/r/%", "/r/<script>", "/x"]) expect(roomAt(odd)).toBe("lobby");
});

test("the banner waits 2 s, counts down, and is not begun anew by each attempt", () => {
  const since = 10_000;
  const waiting = { name: "waiting", since, until: 16_000 } as const;
  expect(bannerFor(waiting, 11_999, true, true)).toEqual({ say: "nothing" });
  expect(bannerFor(waiting, 12_000, true, true)).toEqual({ say: "waiting", seconds: 4, retry: true });
  expect(bannerFor({ name: "connecting", since }, 13_000, true, true)).toMatchObject({ say: "reconnecting" });
  expect(bannerFor({ name: "connecting", since }, 13_000, true, false)).toMatchObject({ say: "connecting" });
  expect(bannerFor(waiting, 13_000, false, true)).toMatchObject({ say: "offline" });
  expect(bannerFor({ name: "online", client: "c" }, 99_000, true, true)).toEqual({ say: "nothing" });
  expect(bannerFor({ name: "stopped", code: 3500, reason: "" }, since, true, true)).toMatchObject({ say: "stopped", retry: true });
  expect(stateAfter(waiting, { name: "connecting", since: 20_000 })).toEqual({ name: "connecting", since });
  expect(stateAfter({ name: "online", client: "c" }, { name: "connecting", since: 20_000 })).toEqual({ name: "connecting", since: 20_000 });
});

test("the bell: notices newest first, once each; the mark counts for all and never goes back", () => {
  const wire = (offset: number, data: unknown) => ({ data, epoch: "e", offset, time: offset });
  let b: Bell = [wire(1, { title: "One" }), wire(2, { title: "Two", text: "x", link: "javascript:alert(1)", priority: "high" }), wire(2, { title: "Two" })].reduce((x, w) => withEntry(x, w, 0), emptyBell);
  expect(b.notices.map((n) => n.title)).toEqual(["Two", "One"]);
  expect(b.notices[0]).toMatchObject({ link: null, priority: "high" });
  expect(unreadCount(b)).toBe(2);
  b = withEntry(b, wire(3, { type: "read", upto: 1, epoch: "e" }), 0);
  expect(unreadCount(b)).toBe(1);
  b = withEntry(b, wire(4, { type: "read", upto: 0, epoch: "e" }), 0);
  expect(b.read).toBe(1);
  b = withEntry(b, wire(5, { type: "read", upto: 5, epoch: "other" }), 0);
  expect(unreadCount(b)).toBe(1);
  expect(isUnread(readUpTo(b, "e", 5), b.notices[0]!)).toBe(false);
  expect(withEntry(b, wire(6, { nothing: 1 }), 0)).toBe(b);
});

test("a notice's link is http, https, mailto or a path of this site", () => {
  expect(linkOf("/invoices/7?x=1")).toBe("/invoices/7?x=1");
  expect(linkOf("https://example.org/a")).toBe("https://example.org/a");
  for (const bad of ["//evil.example", "/\\evil.example", "\\\\evil", "javascript:alert(1)", "data:text/html,x", "/a b", 7, null, " /x"]) expect(linkOf(bad)).toBe(null);
});

test("both languages say everything, and nothing is left in the other one", () => {
  expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort());
  const han = /\p{Script=Han}/u;
  const said = (v: unknown): string => (typeof v === "function" ? String((v as (...a: unknown[]) => string)(v.length === 2 ? ["A"] : v.toString().startsWith("(n") ? 2 : "A", 2)) : String(v));
  for (const key of Object.keys(en) as (keyof typeof en)[]) {
    expect(said(en[key]), key).not.toMatch(han);
    if (!/^(via\.|author\.(redis|http)|announce$)/.test(key)) expect(said(zh[key]), key).toMatch(han);
    expect(typeof zh[key]).toBe(typeof en[key]);
  }
  expect(languageFor(["fr", "zh-TW", "en"])).toBe("zh-CN");
  expect(languageFor(["fr"])).toBe("en");
});

import { expect, test } from "vitest";
import { type Bell, emptyBell, isUnread, linkOf, newest, readUpTo, unreadCount, withEntry } from "../../src/state/bell.ts";

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

const wire = (offset: number, data: unknown, epoch = "e") => ({ data, epoch, offset, time: offset });

test("a notice is a title, a text, or both; a plain text counts too", () => {
  const of = (data: unknown) => withEntry(emptyBell, wire(1, data), 0).notices[0];
  expect(of({ content: "Hi" })).toMatchObject({ title: "Hi", text: "" });
  expect(of({ text: "Only text" })).toMatchObject({ title: "", text: "Only text" });
  expect(of("plain")).toMatchObject({ title: "", text: "plain", priority: "normal", link: null });
  expect(of({ title: "x".repeat(999), text: "y".repeat(9_999), priority: "low" })).toMatchObject({ title: "x".repeat(200), text: "y".repeat(2_000), priority: "low" });
  for (const data of [{}, { title: " " }, null, 7, ["x"], " "]) expect(of(data)).toBeUndefined();
  for (const time of [undefined, 0, "9"]) expect(withEntry(emptyBell, { data: "x", time: time as number }, 7).notices[0]!.time).toBe(7);
});

test("a mark of another epoch, or one that is no number, counts for nothing", () => {
  const bell = withEntry(emptyBell, wire(1, "x"), 0);
  for (const data of [{ type: "read", upto: "1" }, { type: "read", upto: 1.5 }, { type: "read", upto: 1, epoch: "f" }]) expect(withEntry(bell, wire(2, data), 0)).toBe(bell);
  expect(unreadCount(withEntry(bell, wire(2, { type: "read", upto: 1 }), 0))).toBe(0); // its own epoch
  expect(readUpTo(bell, "f", 9)).toBe(bell);
  expect(newest(bell)).toBe(1);
  expect(newest(emptyBell)).toBe(0);
});

test("a new epoch starts unread, behind what was there; 200 notices are kept", () => {
  let bell = readUpTo(withEntry(emptyBell, wire(9, "old"), 0), "e", 9);
  bell = withEntry(bell, { ...wire(1, "new", "f"), time: 99 }, 0);
  expect(bell.notices.map((n) => n.text)).toEqual(["new", "old"]);
  expect([bell.read, unreadCount(bell)]).toEqual([0, 1]);
  for (let i = 2; i < 300; i++) bell = withEntry(bell, wire(i, "x", "f"), 0);
  expect(bell.notices).toHaveLength(200);
  expect(withEntry(readUpTo(emptyBell, "e", 5), wire(6, "x"), 0).read).toBe(5);
});

test("a notice without a log may come twice", () => {
  const bell = withEntry(emptyBell, { data: "x" }, 1);
  expect(withEntry(bell, { data: "x" }, 2).notices).toHaveLength(2);
});

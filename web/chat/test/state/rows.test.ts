import { expect, test } from "vitest";
import { emptyRoom, withGap, withMessages, withPending } from "../../src/state/room.ts";
import { pendingRows, rowsOf, sameDay } from "../../src/state/rows.ts";
import { message } from "../messages.ts";

test("rows: day separators, groups within 5 minutes, the divider; the same wherever the window begins", () => {
  const day = 86_400_000;
  const at = (n: number, time: number, user = "ann") => message(n, { time: time + 10 * day, info: { user } });
  const { items } = withMessages(emptyRoom("x"), [at(1, 0), at(2, 60_000), at(3, 6 * 60_000 + 1), at(4, 6 * 60_000 + 2, "bob"), at(5, 2 * day)]);
  const kinds = (start: number, unread: string | null = null) => rowsOf(items, start, items.length, unread).map((r) => (r.type === "message" ? (r.head ? "head" : "more") : r.type));
  expect(kinds(0)).toEqual(["day", "head", "more", "head", "head", "day", "head"]);
  expect(kinds(1)).toEqual(["more", "head", "head", "day", "head"]);
  expect(kinds(0, "e.2")).toEqual(["day", "head", "unread", "head", "head", "head", "day", "head"]);
});

test("a message has its author above it behind a gap, an answer, another way in, and another name", () => {
  const head = (...more: object[]) => {
    const { items } = withMessages(emptyRoom("x"), more.map((m, i) => message(i + 1, { time: 1_000 + i, ...m })));
    return rowsOf(items, 1, items.length, null).map((r) => r.type === "message" && r.head);
  };
  expect(head({}, {})).toEqual([false]);
  expect(head({ time: 1_000 }, { time: 301_000 }, { time: 601_001 })).toEqual([false, true]); // 5 minutes, and 1 ms more
  expect(head({}, { data: { content: "x", re: "e.1" } })).toEqual([true]);
  expect(head({ via: "sdk" }, { via: "http" })).toEqual([true]);
  expect(head({}, { info: { user: "ann", conn_info: { name: "Anna" } } })).toEqual([true]);
  const gap = withMessages(withGap(withMessages(emptyRoom("x"), [message(1)])), [message(2)]).items;
  expect(rowsOf(gap, 0, 3, null).map((r) => (r.type === "message" ? r.head : r.type))).toEqual(["day", true, "other", true]);
  expect(rowsOf(gap, 2, 3, null)).toMatchObject([{ type: "message", head: true }]);
});

test("what is not sent yet goes on where the messages end", () => {
  const pending = (id: string) => ({ ...message(0, { info: undefined }), key: id, author: message(1).author });
  const room = withPending(withMessages(emptyRoom("x"), [message(1, { time: 1_000 })]), [pending("a"), pending("b")]);
  expect(pendingRows(room)).toMatchObject([{ key: "pending a", head: false }, { key: "pending b", head: false }]);
  expect(pendingRows({ ...room, items: [] })).toMatchObject([{ head: true }, { head: false }]);
});

test("a day is a calendar day", () => {
  const noon = new Date(2026, 5, 1, 12).getTime();
  expect([sameDay(noon, noon + 11 * 3_600_000), sameDay(noon, noon + 13 * 3_600_000), sameDay(noon, noon + 365 * 86_400_000)]).toEqual([true, false, false]);
});

import { expect, test } from "vitest";
import type { Message } from "../../src/state/message.ts";
import { emptyRoom, withMessages } from "../../src/state/room.ts";
import { advance, countUnread, firstUnread, isAfter } from "../../src/state/unread.ts";
import { message } from "../messages.ts";

test("unread counts others' messages behind the mark", () => {
  const { items } = withMessages(emptyRoom("x"), [1, 2, 3, 4].map((n) => message(n, { info: { user: n === 3 ? "me" : "ann" } })));
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

test("deleted messages, those without a log and more than 100 are not counted", () => {
  const nobody = () => false;
  const mark = { epoch: "e", offset: 1 };
  expect(countUnread([message(1), { ...message(2), deleted: true }, message(0), message(3)], mark, nobody)).toBe(1);
  expect(countUnread(Array.from({ length: 200 }, (_, i) => message(i + 2)), mark, nobody)).toBe(100);
});

test("the divider is before the first unread message, also when that is the first of all", () => {
  const items = [message(1), message(2)];
  expect(firstUnread(items, { epoch: "e", offset: 0 }, () => false)).toBe("e.1");
  expect(firstUnread(items, { epoch: "e", offset: 1 }, () => false)).toBe("e.2");
  expect(firstUnread(items, { epoch: "e", offset: 0 }, (m) => m.offset === 1)).toBe("e.2");
  expect(countUnread(items, { epoch: "e", offset: 0 }, () => false)).toBe(2);
});

test("every message of another epoch is behind the mark", () => {
  expect(isAfter(message(1), { epoch: "f", offset: 9 })).toBe(true);
  expect(isAfter(message(0), { epoch: "f", offset: 9 })).toBe(false);
  expect([isAfter(message(1), { epoch: "e", offset: 1 }), isAfter(message(1), null)]).toEqual([false, false]);
});

test("a log that is not known gives no mark", () => {
  const mark = { epoch: "e", offset: 2 };
  expect([advance(mark, "", 5), advance(mark, "e", 0), advance(null, "e", 1), advance(mark, "e", 2)]).toEqual([mark, mark, { epoch: "e", offset: 1 }, mark]);
});

// What edits, deletions and reactions do, and who may ask for them.

import { expect, test } from "vitest";
import { applyChange, mayChange } from "../../src/state/change.ts";
import type { Author } from "../../src/state/message.ts";
import { ann, bob, change, message } from "../messages.ts";

const react = (emoji: string, on = true, info: object = ann) => change(9, { type: "reaction", of: "e.1", emoji, on }, info);

test("a reaction that nobody made cannot be taken back", () => {
  const m = message(1);
  expect(applyChange(m, react("👍", false))).toBe(m);
  const reacted = applyChange(m, react("👍"));
  expect(applyChange(reacted, react("👍", false, bob)).reactions).toEqual([{ emoji: "👍", users: ["user ann"] }]);
});

test("a message has at most 20 emoji, and an emoji at most 500 people", () => {
  let m = message(1);
  for (let i = 0; i < 25; i++) m = applyChange(m, react(`e${i}`));
  expect(m.reactions).toHaveLength(20);
  m = applyChange(m, react("e3", true, bob)); // a known emoji still counts
  expect(m.reactions[3]!.users).toEqual(["user ann", "user bob"]);
  for (let i = 0; i < 600; i++) m = applyChange(m, react("e0", true, { user: `u${i}` }));
  expect(m.reactions[0]!.users).toHaveLength(500);
});

test("a deleted message takes no more changes", () => {
  const deleted = applyChange(applyChange(message(1), react("👍")), change(3, { type: "delete", of: "e.1" }));
  expect(deleted).toMatchObject({ deleted: true, text: "", reactions: [] });
  expect(applyChange(deleted, react("👍"))).toBe(deleted);
});

test("the author and moderators may change a message, by the server's stamp alone", () => {
  const author = (user: string, more: Partial<Author> = {}): Author => ({ user, client: "", name: user, color: 0, guest: false, stamped: true, moderator: false, ...more });
  expect(mayChange(author("ann"), author("ann"))).toBe(true);
  expect(mayChange(author("ann"), author("bob"))).toBe(false);
  expect(mayChange(author("ann"), author("bob", { moderator: true }))).toBe(true);
  expect(mayChange(author("", { stamped: false }), author("bob", { moderator: true }))).toBe(true);
  expect(mayChange(author("ann"), author("bob", { moderator: true, stamped: false }))).toBe(false);
  expect(mayChange(author("ann"), author("ann", { stamped: false }))).toBe(false);
  expect(mayChange(author("ann", { stamped: false }), author("ann"))).toBe(false);
  expect(mayChange(author(""), author(""))).toBe(false);
});

// Reading is total: any payload gives text, and nobody is named by a payload
// where the server has named somebody.

import { expect, test } from "vitest";
import { isGuestName, type Message, personOf, read, type WireMessage } from "../../src/state/message.ts";

const one = (wire: WireMessage): Message => {
  const r = read({ epoch: "e", offset: 1, ...wire }, "live", 5);
  if (!("message" in r)) throw new Error("not a message");
  return r.message;
};

test("every kind of payload is shown as text", () => {
  expect(one({ data: { content: "hi" } })).toMatchObject({ text: "hi", format: "chat" });
  expect(one({ data: "plain words" })).toMatchObject({ text: "plain words", format: "plain" });
  expect(one({ data: { order: 7 } })).toMatchObject({ text: '{"order":7}', format: "data" });
  expect(one({ data: [1, null] })).toMatchObject({ text: "[1,null]", format: "data" });
  expect(one({ data: null })).toMatchObject({ text: "null" });
  expect(one({})).toMatchObject({ text: "" });
  expect(one({ b64: "//4A" })).toMatchObject({ format: "binary", bytes: 3 });
  expect(one({ data: { b64: "//4A" } })).toMatchObject({ format: "binary", bytes: 3 });
  expect(one({ data: { type: "unheard of", x: 1 } })).toMatchObject({ format: "data" });
});

test("the author is whom the server stamped; a payload's name is a claim", () => {
  expect(one({ data: { content: "x", name: "Eve" }, info: { user: "g:1", conn_info: { name: "Ann", color: 3, guest: true } } }).author)
    .toMatchObject({ name: "Ann", stamped: true, guest: true, color: 3 });
  expect(one({ data: { content: "x", name: "Eve" }, info: { user: "42" } }).author).toMatchObject({ name: "42", stamped: true, guest: false });
  expect(one({ data: { content: "x", name: "billing" } }).author).toMatchObject({ name: "billing", stamped: false, user: "" });
  expect(one({ data: { content: "x" } }).author).toMatchObject({ name: null, stamped: false });
});

test("hostile shapes change nothing but their own text (X6)", () => {
  for (const text of ['{"__proto__":{"content":"x","polluted":1}}', '{"constructor":{"prototype":{"polluted":1}}}', '{"content":{"toString":1}}', '{"name":{"a":1},"content":7}']) {
    const m = one({ data: JSON.parse(text), info: JSON.parse('{"user":{"x":1},"conn_info":{"__proto__":{"name":"root"}}}') });
    expect(m.format).toBe("data");
    expect(m.author.stamped).toBe(false);
  }
  expect(({} as { polluted?: number }).polluted).toBeUndefined();
});

test("typing and read marks are no messages; broken changes are ignored", () => {
  for (const data of [{ type: "typing" }, { type: "read", upto: 3 }, { type: "edit" }, { type: "edit", of: "e.1" }, { type: "reaction", of: "e.1" }, { type: "delete", of: 7 }]) {
    expect(read({ data, epoch: "e", offset: 1 }, "", 0)).toEqual({ ignored: true });
  }
});

test("names and texts are bounded", () => {
  const m = one({ data: { content: "x".repeat(100_000), name: "n".repeat(1_000), id: "i".repeat(1_000) } });
  expect(m.text.length).toBe(20_000);
  expect(m.author.name!.length).toBe(80);
  expect(m.id!.length).toBe(80);
});

test("a message without a log has the key that it is given; time and way in are the server's", () => {
  expect(one({ data: "x", offset: 0 })).toMatchObject({ key: "live", offset: 0 });
  expect(one({ data: "x", time: 77, via: "plain" })).toMatchObject({ key: "e.1", time: 77, via: "plain" });
  for (const time of [0, -1, "7"]) expect(one({ data: "x", time: time as number }).time).toBe(5);
  for (const via of ["unheard of", 7, undefined]) expect(one({ data: "x", via: via as string }).via).toBe(null);
});

test("a change has its parts: on unless it is taken back, its text bounded", () => {
  const changeOf = (data: object) => {
    const r = read({ data, epoch: "e", offset: 2 }, "", 0);
    return "change" in r ? r.change : null;
  };
  expect(changeOf({ type: "reaction", of: "e.1", emoji: "👍" })).toMatchObject({ type: "reaction", of: "e.1", emoji: "👍", on: true, key: "e.2" });
  expect(changeOf({ type: "reaction", of: "e.1", emoji: "👍", on: false })).toMatchObject({ on: false });
  expect(changeOf({ type: "edit", of: "e.1", content: "x".repeat(100_000) })!.content).toHaveLength(20_000);
  expect(changeOf({ type: "edit", of: "e.1", content: 7 })).toBe(null);
  expect(changeOf({ type: "delete", of: "e.1" })).toMatchObject({ content: "", emoji: "" });
});

test("the size of bytes is known from their base64; other objects with b64 are data", () => {
  expect(one({ b64: "AA==" }).bytes).toBe(1);
  expect(one({ b64: "AAA=" }).bytes).toBe(2);
  expect(one({ b64: "AAAAAAAA" }).bytes).toBe(6);
  for (const data of [{ b64: "AA==", x: 1 }, { b64: "not base64!" }, { b64: 7 }]) expect(one({ data }).format).toBe("data");
});

test("the colour is the server's within bounds, or always the same for a name", () => {
  const color = (info: object) => one({ data: "x", info }).author.color;
  expect([color({ user: "a", conn_info: { color: 14 } }), color({ user: "a", connInfo: { color: -3 } })]).toEqual([2, 3]);
  expect(color({ user: "a", conn_info: { color: 1.5 } })).toBe(color({ user: "a" }));
  expect(color({ user: "a" })).not.toBe(color({ user: "b" }));
  expect(color({ user: "a" })).toBeLessThan(12);
});

test("guests and moderators are such by the stamp alone", () => {
  const author = (info: object | undefined, data: object = { content: "x", name: "Eve" }) => one({ data, info }).author;
  expect(author({ user: "m", conn_info: { moderator: true } })).toMatchObject({ moderator: true, guest: false });
  expect(author({ conn_info: { moderator: true } })).toMatchObject({ moderator: false, guest: true });
  expect(author({ conn_info: { name: "Ann" } })).toMatchObject({ stamped: true, guest: false, name: "Ann" });
  expect(author({ user: "m", conn_info: { moderator: "yes", guest: "yes" } })).toMatchObject({ moderator: false, guest: false });
  expect(author({ client: "c1" })).toMatchObject({ client: "c1", name: "Eve", stamped: false });
  expect(author({ session: "s1" }).client).toBe("s1");
});

test("a name that somebody chose who has not signed in is a guest's; what programs publish is marked by its way in (Y4)", () => {
  const isGuest = (info: object | undefined, data: object = { content: "x", name: "Ada" }) => isGuestName(one({ data, info }).author);
  expect(isGuest({ user: "g:1", conn_info: { name: "Ada", guest: true } })).toBe(true);
  expect([isGuest({ client: "c" }), isGuest({ session: "s" })]).toEqual([true, true]); // a claim of a client
  expect(isGuest(undefined)).toBe(false);
  expect(isGuest({ user: "ada", conn_info: { name: "Ada" } })).toBe(false);
  expect(isGuest({ client: "c" }, { content: "x" })).toBe(false); // there is no name
});

test("the same person is the same user, else the same session, else the same claim", () => {
  const person = (info: object | undefined, name = "Ann") => personOf(one({ data: { content: "x", name }, info }).author);
  expect([person({ user: "u", client: "c" }), person({ client: "c" }), person(undefined), person(undefined, " ")]).toEqual(["user u", "client c", "claim Ann", "claim "]);
});

test("JSON that is nested too deep to be written again is still a message", () => {
  let list: unknown = [];
  let object: unknown = {};
  for (let i = 0; i < 100_000; i++) {
    list = [list];
    object = { a: object };
  }
  expect([one({ data: list }), one({ data: object })]).toMatchObject([{ format: "data", text: "[…]" }, { format: "data", text: "{…}" }]);
});

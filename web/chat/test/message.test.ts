// Reading is total: any payload gives text, and nobody is named by a payload
// where the server has named somebody.

import { expect, test } from "vitest";
import { type Message, read, type WireMessage } from "../src/state/message.ts";

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

// The small pure parts of the first page.

import assert from "node:assert/strict";
import { test } from "node:test";
import { isRefused, readHistory } from "../../../internal/web/assets/history.js";
import { preferred } from "../../../internal/web/assets/i18n.js";
import { read } from "../../../internal/web/assets/payload.js";
import { strings } from "../../../internal/web/assets/strings.js";
import { commands } from "../../../internal/web/assets/ways.js";

test("both languages say the same things", () => {
  assert.deepEqual(Object.keys(strings["zh-CN"]), Object.keys(strings.en));
  for (const [key, value] of Object.entries(strings.en)) {
    assert.equal(typeof strings["zh-CN"][key], typeof value, key);
    if (typeof value === "function") assert.equal(strings["zh-CN"][key].length, value.length, key);
  }
});

test("counts agree with their nouns", () => {
  assert.equal(strings.en.latest(1), "1 new message");
  assert.equal(strings.en.latest(2), "2 new messages");
  assert.equal(strings.en.binary("1"), "Binary, 1 byte");
});

test("the language is the reader's first that is there, unless they chose", () => {
  assert.equal(preferred(["de", "zh-TW", "en"], ""), "zh-CN");
  assert.equal(preferred(["de", "en-AU", "zh"], ""), "en");
  assert.equal(preferred(["de"], ""), "en");
  assert.equal(preferred(["en"], "zh-CN"), "zh-CN");
  assert.equal(preferred(["zh"], "klingon"), "zh-CN");
});

test("a payload is read as what it is", () => {
  const line = (message) => { const r = read(message); return [r.author, r.text]; };
  assert.deepEqual(line({ data: { content: "hi", name: "Ada" } }), ["Ada", "hi"]);
  assert.deepEqual(line({ data: { content: "has joined the chat" } }), [null, "has joined the chat"]);
  assert.deepEqual(line({ data: "plain" }), [null, "plain"]);
  assert.deepEqual(line({ data: "" }), [null, ""]);
  assert.deepEqual(line({ data: 7 }), [null, "7"]);
  assert.deepEqual(line({ data: null }), [null, "null"]);
  assert.deepEqual(line({ data: false }), [null, "false"]);
  assert.deepEqual(line({ data: [1, "a"] }), [null, '[1,"a"]']);
  assert.deepEqual(line({ data: { order: 1 } }), [null, '{"order":1}']);
  assert.deepEqual(line({ data: { content: { a: 1 } } }), [null, '{"content":{"a":1}}']);
  assert.deepEqual(line({}), [null, ""]);
});

test("a name of the server wins over a typed one", () => {
  const r = read({ data: { content: "hi", name: "admin" }, info: { user: "mallory" } });
  assert.deepEqual([r.author, r.claimed], ["mallory", false]);
  assert.equal(read({ data: { content: "hi", name: "admin" } }).claimed, true);
});

test("X6: a payload's prototype is nobody's name", () => {
  const r = read({ data: JSON.parse('{"__proto__":{"content":"x","name":"y","id":"z"}}') });
  assert.deepEqual([r.author, r.id], [null, null]);
  assert.equal({}.content, undefined);
});

test("long names and texts are cut, and the cut is told", () => {
  const r = read({ data: { content: "x".repeat(5_000), name: "n".repeat(500) } });
  assert.deepEqual([r.text.length, r.cut, r.author.length], [4_000, 1_000, 80]);
});

test("bytes are counted, not shown", () => {
  for (const bytes of [1, 2, 3, 100]) assert.equal(read({ b64: Buffer.alloc(bytes, 255).toString("base64") }).bytes, bytes);
});

test("the history comes oldest first, with its position", async () => {
  const asked = [];
  const get = async (url, options) => {
    asked.push(url, options.headers);
    return Response.json({ messages: [{ offset: 2 }, { offset: 1 }], epoch: "a", offset: 2 });
  };
  assert.deepEqual(await readHistory("user#4", "t", get), { messages: [{ offset: 1 }, { offset: 2 }], position: { epoch: "a", offset: 2 } });
  assert.deepEqual(asked, ["/history/user%234?limit=50&reverse=true", { Authorization: "Bearer t" }]);
});

test("no history is an empty room; no answer and no right are failures", async () => {
  const status = (code) => readHistory("chat", "", async () => new Response("", { status: code }));
  for (const code of [403, 404]) assert.deepEqual(await status(code), { messages: [], position: null });
  await assert.rejects(status(401), { status: 401 });
  await assert.rejects(status(503), { status: 503 });
  await assert.rejects(readHistory("chat", "", async () => { throw new TypeError("down"); }), { status: 0 });
});

test("a refusal is told from a server that is down", async () => {
  const refused = (code) => isRefused("chat", "t", async () => new Response("", { status: code }));
  assert.deepEqual(await Promise.all([401, 403, 200, 503].map(refused)), [true, true, false, false]);
  await assert.rejects(isRefused("chat", "t", async () => { throw new TypeError("down"); }));
});

test("the commands are ready to paste", () => {
  const hello = (from) => `Hello from ${from}`;
  const open = commands({ origin: "https://x.example", channel: "chat", redisCLI: "redis-cli -p 7001", open: true, hello });
  assert.equal(open["way-redis"], `redis-cli -p 7001 PUBLISH chat \\\n  '{"content":"Hello from Redis"}'`);
  assert.match(open["way-curl"], /^curl https:\/\/x\.example\/publish\/chat \\\n  -H 'Content-Type: application\/json' \\\n  -d '\{/);
  assert.match(open["way-js"], /"wss:\/\/x\.example\/websocket"/);

  const closed = commands({ origin: "http://x", channel: "user#4", redisCLI: "redis-cli", open: false, hello });
  assert.match(closed["way-redis"], /PUBLISH 'user#4' /);
  assert.match(closed["way-curl"], /publish\/user%234 [^]*X-API-Key: YOUR_KEY/);
  assert.match(closed["way-js"], /"ws:\/\/x\/websocket\?channel=user%234&token=YOUR_TOKEN"/);
});

test("the commands' strings stand safely in single quotes", () => {
  for (const language of Object.values(strings)) assert.doesNotMatch(language.hello("curl"), /['\\]/);
});

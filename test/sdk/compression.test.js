// With permessage-deflate agreed on, clients see what they see without it.

import assert from "node:assert/strict";
import test from "node:test";
import WebSocket from "ws";
import { connect, event, payload, startMagpie, subscribe, until, values, ways } from "./support.js";

const env = { MAGPIE_COMPRESSION: "true" };
const long = (i) => `${i} ${"a word and another, ".repeat(200)}`;

test("raw: both sides compress, in either direction nothing changes", async (t) => {
  const { url } = await startMagpie(t, { env });
  const ws = new WebSocket(`${url.replace("http", "ws")}/websocket?channel=raw`, { perMessageDeflate: { threshold: 100 } });
  t.after(() => ws.terminate());
  const heard = [];
  ws.on("message", (data, isBinary) => heard.push([isBinary, String(data)]));
  await new Promise((resolve, reject) => ws.once("open", resolve).once("error", reject));
  assert.match(ws.extensions, /permessage-deflate/);
  const sent = ["short", ...Array.from({ length: 50 }, (_, i) => long(i))];
  for (const text of sent) ws.send(text);
  await until("all are back", () => heard.length === sent.length);
  assert.deepEqual(heard, sent.map((text) => [false, text]));
  const before = ws._socket.bytesRead;
  ws.send(long("x".repeat(100)));
  await until("one more", () => heard.length === sent.length + 1);
  assert.ok(ws._socket.bytesRead - before < 1000, "4,000 characters came in less than 1,000 bytes");
});

for (const way of ways.filter((w) => w.transport === "websocket")) {
  test(`the official client, ${way.name}`, async (t) => {
    const { url } = await startMagpie(t, { env });
    class Deflating extends WebSocket { constructor(address, protocols) { super(address, protocols, { perMessageDeflate: { threshold: 100 } }); } }
    const client = await connect(t, url, way, { websocket: Deflating });
    const sub = await subscribe(client, "sdk");
    const sent = Array.from({ length: 20 }, (_, i) => long(i));
    for (const text of sent) await client.publish("sdk", payload(client, text));
    await event(sub, "publication", sent.length);
    assert.deepEqual(values(client, sub), sent);
    assert.equal((await sub.history({ limit: 20 })).publications.length, 20);
  });
}

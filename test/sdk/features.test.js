// Every feature of the client's stable core, over every transport, in both
// encodings, on one node.

import assert from "node:assert/strict";
import { connect, eachWay, event, payload, startMagpie, subscribe, until, value, values } from "./support.js";

eachWay(async (t, way) => {
  const node = await startMagpie(t);

  await t.test("publications come to all, with the offset", async (t) => {
    const [a, b] = [await connect(t, node.url, way), await connect(t, node.url, way)];
    const [to, too] = [await subscribe(a, "pub"), await subscribe(b, "pub")];
    await a.publish("pub", payload(a, { n: 1 }));
    await to.publish(payload(a, { n: 2, text: "鵲橋 \u2028 \"quoted\"" }));
    for (const [client, sub] of [[a, to], [b, too]]) {
      await event(sub, "publication", 2);
      assert.deepEqual(values(client, sub), [{ n: 1 }, { n: 2, text: "鵲橋 \u2028 \"quoted\"" }]);
      assert.deepEqual(sub.events.publication.map((p) => Number(p.offset)), [1, 2]);
      assert.equal(sub.events.publication[0].info.client, a._client);
    }
  });

  await t.test("what is published over HTTP has no publisher", async (t) => {
    const client = await connect(t, node.url, way);
    const sub = await subscribe(client, "http");
    await node.publish('{"a":1}', "http");
    const publication = await event(sub, "publication");
    assert.deepEqual(value(client, publication.data), { a: 1 });
    assert.equal(publication.info, undefined);
  });

  await t.test("payloads that are no JSON reach everyone", async (t) => {
    const client = await connect(t, node.url, way);
    const sub = await subscribe(client, "bytes");
    await node.publish("plain text", "bytes");
    await node.publish(new Uint8Array([0xff, 0x00, 0xfe]), "bytes");
    await event(sub, "publication", 2);
    const [first, second] = sub.events.publication.map((p) => p.data);
    if (way.protobuf) {
      assert.equal(new TextDecoder().decode(first), "plain text");
      assert.deepEqual([...second], [0xff, 0x00, 0xfe]);
    } else {
      assert.equal(first, "plain text");
      assert.deepEqual(second, { b64: "/wD+" });
    }
    assert.equal(client.state, "connected");
  });

  await t.test("history: limit, since, reverse", async (t) => {
    const client = await connect(t, node.url, way);
    for (let n = 1; n <= 5; n++) await client.publish("hist", payload(client, n));
    const read = async (options) => {
      const page = await client.history("hist", options);
      return { values: page.publications.map((p) => value(client, p.data)), offset: Number(page.offset), epoch: page.epoch };
    };
    const all = await read({ limit: -1 });
    assert.deepEqual(all.values, [1, 2, 3, 4, 5]);
    assert.equal(all.offset, 5);
    assert.deepEqual((await read({ limit: 0 })).values, []);
    assert.deepEqual((await read({ limit: 2 })).values, [1, 2]);
    assert.deepEqual((await read({ limit: 2, reverse: true })).values, [5, 4]);
    const since = { offset: 3, epoch: all.epoch };
    assert.deepEqual((await read({ limit: 10, since })).values, [4, 5]);
    assert.deepEqual((await read({ limit: 10, since, reverse: true })).values, [2, 1]);
    await assert.rejects(read({ limit: 10, since: { offset: 3, epoch: "another" } }), { code: 112 });
  });

  await t.test("presence and its numbers", async (t) => {
    const [a, b] = [await connect(t, node.url, way), await connect(t, node.url, way)];
    const sub = await subscribe(a, "who");
    await subscribe(b, "who");
    const there = await sub.presence();
    assert.deepEqual(Object.keys(there.clients).sort(), [a._client, b._client].sort());
    assert.deepEqual(await sub.presenceStats(), { numClients: 2, numUsers: 1 });
    b.disconnect();
    await until("b is gone", async () => (await sub.presenceStats()).numClients === 1);
  });

  await t.test("recovery brings what was missed, once and in order", async (t) => {
    const client = await connect(t, node.url, way);
    const sub = await subscribe(client, "recover");
    await node.publish("1", "recover");
    await event(sub, "publication");
    client.disconnect();
    for (let n = 2; n <= 50; n++) await node.publish(String(n), "recover");
    client.connect();
    await event(sub, "subscribed", 2);
    await event(sub, "publication", 50);
    assert.deepEqual(values(client, sub), Array.from({ length: 50 }, (_, i) => i + 1));
    const { wasRecovering, recovered } = sub.events.subscribed[1];
    assert.deepEqual({ wasRecovering, recovered }, { wasRecovering: true, recovered: true });
  });

  await t.test("a position that the log never had is told", async (t) => {
    const client = await connect(t, node.url, way);
    const sub = await subscribe(client, "lost", { since: { offset: 7, epoch: "gone" } });
    const { wasRecovering, recovered } = sub.events.subscribed[0];
    assert.deepEqual({ wasRecovering, recovered }, { wasRecovering: true, recovered: false });
  });

  await t.test("since the beginning, in whatever timeline", async (t) => {
    const client = await connect(t, node.url, way);
    for (const n of [1, 2, 3]) await node.publish(String(n), "start");
    const sub = await subscribe(client, "start", { since: { offset: 0, epoch: "" } });
    await event(sub, "publication", 3);
    assert.deepEqual(values(client, sub), [1, 2, 3]);
    assert.equal(sub.events.subscribed[0].recovered, true);
  });

  await t.test("differences give the same as whole payloads", async (t) => {
    const client = await connect(t, node.url, way);
    const sub = await subscribe(client, "delta", { delta: "fossil" });
    const state = { text: "鵲".repeat(100), list: Array.from({ length: 50 }, (_, i) => ({ id: i, name: `bird ${i}` })) };
    const sent = [];
    for (let n = 0; n < 20; n++) {
      state.list[n].name = `bird ${n} é`;
      sent.push(structuredClone(state));
      await node.publish(JSON.stringify(state), "delta");
    }
    await event(sub, "publication", 20);
    assert.deepEqual(values(client, sub), sent);
    const stats = sub.deltaStats?.() ?? { numDelta: sub._deltaNumDelta };
    assert.ok(sub._deltaNumDelta >= 15, `${JSON.stringify(stats)}: hardly any difference was sent`);
  });

  await t.test("differences go on after a reconnect", async (t) => {
    const client = await connect(t, node.url, way);
    const sub = await subscribe(client, "delta2", { delta: "fossil" });
    const body = (n) => JSON.stringify({ pad: "x".repeat(500), n });
    await node.publish(body(1), "delta2");
    await event(sub, "publication");
    client.disconnect();
    await node.publish(body(2), "delta2");
    await node.publish(body(3), "delta2");
    client.connect();
    await event(sub, "publication", 3);
    await node.publish(body(4), "delta2");
    await node.publish("no JSON at all", "delta2");
    await node.publish(body(6), "delta2");
    await event(sub, "publication", 6);
    const got = sub.events.publication.map((p) => way.protobuf ? new TextDecoder().decode(p.data) : p.data);
    const want = [body(1), body(2), body(3), body(4), "no JSON at all", body(6)];
    assert.deepEqual(got, way.protobuf ? want : want.map((text) => text.startsWith("{") ? JSON.parse(text) : text));
  });

  await t.test("a filter lets through what its tags match", async (t) => {
    const client = await connect(t, node.url, way);
    const sub = await subscribe(client, "tags", { tagsFilter: { key: "kind", cmp: "eq", val: "goal" } });
    for (const [n, kind] of [[1, "foul"], [2, "goal"], [3, "corner"], [4, "goal"]]) await api(node, "publish", { channel: "tags", data: n, tags: { kind } });
    await event(sub, "publication", 2);
    assert.deepEqual(values(client, sub), [2, 4]);
    assert.deepEqual(sub.events.publication[0].tags, { kind: "goal" });
  });

  await t.test("unsubscribing ends what comes", async (t) => {
    const client = await connect(t, node.url, way);
    const sub = await subscribe(client, "leave");
    sub.unsubscribe();
    await until("nobody is there", async () => (await client.presenceStats("leave")).numClients === 0);
    await node.publish("1", "leave");
    const again = await subscribe(client, "leave2");
    await node.publish("2", "leave2");
    await event(again, "publication");
    assert.equal(sub.events.publication.length, 0);
  });

  await t.test("calls nobody answers are refused, sends are taken", async (t) => {
    const client = await connect(t, node.url, way);
    await assert.rejects(client.rpc("method", payload(client, {})), { code: 108 });
    await client.send(payload(client, "hello"));
    await assert.rejects(client.publish("bad name", payload(client, 1)), { code: 107 });
    assert.equal(client.state, "connected");
  });

  await t.test("pings are answered for as long as it takes", async (t) => {
    const node = await startMagpie(t, { flags: ["--ping-interval", "1s"] });
    const client = await connect(t, node.url, way);
    const sub = await subscribe(client, "quiet");
    await new Promise((resolve) => setTimeout(resolve, 3500)); // three pings: time itself is what is tested
    await node.publish("1", "quiet");
    await event(sub, "publication");
    assert.equal(client.events.connecting.length, 1);
  });

  await t.test("a server subscribes, unsubscribes and disconnects", async (t) => {
    const client = await connect(t, node.url, way);
    await api(node, "subscribe", { client: client._client, user: "", channel: "pushed" });
    await event(client, "subscribed");
    await node.publish('"for you"', "pushed");
    assert.equal(value(client, (await event(client, "publication")).data), "for you");
    await api(node, "unsubscribe", { client: client._client, user: "", channel: "pushed" });
    await event(client, "unsubscribed");
    const sub = await subscribe(client, "kick");
    await api(node, "unsubscribe", { client: client._client, user: "", channel: "kick" });
    assert.equal((await event(sub, "unsubscribed")).code, 2000);
    await api(node, "disconnect", { client: client._client, user: "", disconnect: { code: 4501, reason: "enough" } });
    const { code, reason } = await event(client, "disconnected");
    assert.deepEqual({ code, reason }, { code: 4501, reason: "enough" });
  });
});

/** Calls the server API; an error in the answer throws. */
export async function api(node, method, body) {
  const answer = await fetch(`${node.url}/api/${method}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const reply = await answer.json();
  if (!answer.ok || reply.error) throw new Error(`${method}: ${answer.status} ${JSON.stringify(reply)}`);
  return reply.result;
}

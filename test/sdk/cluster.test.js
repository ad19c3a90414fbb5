// Two nodes on one Redis: any node takes any request, and a node that dies
// takes nothing with it that the log has.

import assert from "node:assert/strict";
import test from "node:test";
import { connect, eachWay, event, freePort, payload, startMagpie, startRedis, subscribe, until, values, ways } from "./support.js";

const rules = '[{match: "short:*", log: {size: 5, age: 1h}, delta: true}]';
const env = { MAGPIE_RULES: rules };

async function pair(t) {
  const redis = await startRedis(t);
  const start = (port) => startMagpie(t, { redis, port, env });
  const [a, b] = await Promise.all([start(), start()]);
  return { redis, a, b, start };
}

eachWay(async (t, way) => {
  const { a, b, start } = await pair(t);

  await t.test("messages and presence cross nodes", async (t) => {
    const [here, there] = [await connect(t, a.url, way), await connect(t, b.url, way)];
    const [sub, other] = [await subscribe(here, "cross"), await subscribe(there, "cross")];
    await here.publish("cross", payload(here, 1));
    await there.publish("cross", payload(there, 2));
    for (const s of [sub, other]) {
      await event(s, "publication", 2);
      assert.deepEqual(s.events.publication.map((p) => Number(p.offset)), [1, 2]);
    }
    await until("both are there", async () => (await sub.presenceStats()).numClients === 2);
  });

  if (way.transport !== "websocket") {
    await t.test("commands go to the other node", async (t) => {
      const client = await connect(t, a.url, way, { emulation: b.url });
      const sub = await subscribe(client, "emulated");
      for (let n = 1; n <= 20; n++) await client.publish("emulated", payload(client, n));
      await event(sub, "publication", 20);
      assert.deepEqual(values(client, sub), Array.from({ length: 20 }, (_, i) => i + 1));
      assert.equal(client.events.connecting.length, 1);
    });
  }

  await t.test("a server's orders reach clients of the other node", async (t) => {
    const client = await connect(t, a.url, way);
    const sub = await subscribe(client, "order");
    const order = async (method, body) => (await fetch(`${b.url}/api/${method}`, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ client: client._client, user: "", ...body }),
    })).json();
    assert.deepEqual(await order("unsubscribe", { channel: "order" }), { result: {} });
    assert.equal((await event(sub, "unsubscribed")).code, 2000);
    await order("disconnect", { disconnect: { code: 4500, reason: "enough" } });
    assert.equal((await event(client, "disconnected")).code, 4500);
  });

  await t.test("a node that is killed: nothing is lost, and its ghosts are gone in 5 s", async (t) => {
    const port = await freePort();
    const dying = await start(port);
    const client = await connect(t, dying.url, way);
    const sub = await subscribe(client, "kill", { delta: "fossil" });
    const stays = await connect(t, b.url, way);
    const watch = await subscribe(stays, "kill");
    await until("both are there", async () => (await watch.presenceStats()).numClients === 2);
    const body = (n) => JSON.stringify({ n, pad: "magpie ".repeat(50) });
    await b.publish(body(1), "kill");
    await event(sub, "publication");
    await dying.end("SIGKILL");
    await b.publish(body(2), "kill");
    await b.publish(body(3), "kill");
    await until("the ghost is gone", async () => (await watch.presenceStats()).numClients === 1, 30_000);
    await start(port);
    await event(sub, "subscribed", 2, 20_000);
    await b.publish(body(4), "kill");
    await event(sub, "publication", 4);
    assert.deepEqual(values(client, sub).map(({ n }) => n), [1, 2, 3, 4]);
    const { wasRecovering, recovered } = sub.events.subscribed.at(-1);
    assert.deepEqual([wasRecovering, recovered], [true, true]);
  });

  await t.test("away for longer than the log: it is told, and goes on", async (t) => {
    const client = await connect(t, a.url, way);
    const sub = await subscribe(client, "short:x", { delta: "fossil" });
    const body = (n) => JSON.stringify({ n, pad: "magpie ".repeat(50) });
    await b.publish(body(1), "short:x");
    await event(sub, "publication");
    client.disconnect();
    for (let n = 2; n <= 20; n++) await b.publish(body(n), "short:x");
    client.connect();
    const { wasRecovering, recovered } = await event(sub, "subscribed", 2);
    assert.deepEqual([wasRecovering, recovered], [true, false]);
    for (const n of [21, 22]) await b.publish(body(n), "short:x");
    await event(sub, "publication", 3);
    assert.deepEqual(values(client, sub).map(({ n }) => n), [1, 21, 22]);
  });

  await t.test("a node that stops sends its clients elsewhere", async (t) => {
    const port = await freePort();
    const stopping = await start(port);
    const client = await connect(t, stopping.url, way);
    const sub = await subscribe(client, "stop");
    await b.publish("1", "stop");
    await event(sub, "publication");
    await stopping.end("SIGTERM");
    assert.equal((await event(client, "connecting", 2)).code, 3001);
    await b.publish("2", "stop");
    await start(port);
    await event(sub, "publication", 2, 20_000);
    assert.deepEqual(values(client, sub), [1, 2]);
  });
});

test("Redis is emptied under its clients: they come back and are told", async (t) => {
  const { redis, a } = await pair(t);
  const client = await connect(t, a.url, ways[0]);
  const sub = await subscribe(client, "empty");
  for (const n of [1, 2, 3]) await a.publish(String(n), "empty");
  await event(sub, "publication", 3);
  await redis.cli("FLUSHALL");
  await a.publish("4", "empty");
  const { wasRecovering, recovered } = await event(sub, "subscribed", 2);
  assert.deepEqual([wasRecovering, recovered], [true, false]);
  await a.publish("5", "empty");
  await event(sub, "publication", 4);
  assert.equal(values(client, sub).at(-1), 5);
});

// What a client goes through between connect and disconnect, however its calls
// interleave: over every transport, in both encodings, on both engines.

import assert from "node:assert/strict";
import { connect, eachWay, event, inSeconds, payload, secret, startMagpie, startRedis, subscribe, token, until, values } from "./support.js";

// Codes of the client library for what the application itself asked for.
const asked = 0;
const transportClosed = 1;

for (const engine of ["memory", "Redis"]) {
  eachWay(async (t, way) => {
    const env = { MAGPIE_TOKEN_SECRET: secret, MAGPIE_RULES: '[{match: "team:*"}, {match: "*", subscribe: anyone, publish: anyone, members: anyone}]' };
    if (engine === "Redis") env.MAGPIE_REDIS = (await startRedis(t)).url;
    const node = await startMagpie(t, { env });

    await t.test(`${engine}: connects and disconnects`, async (t) => {
      const client = await connect(t, node.url, way);
      client.disconnect();
      assert.equal((await event(client, "disconnected")).code, asked);
      assert.equal(client.state, "disconnected");
    });

    await t.test(`${engine}: subscribes, hears itself, unsubscribes`, async (t) => {
      const client = await connect(t, node.url, way);
      const sub = await subscribe(client, "room");
      await sub.publish(payload(client, { my: "data" }));
      await event(sub, "publication");
      assert.deepEqual(values(client, sub), [{ my: "data" }]);
      sub.unsubscribe();
      client.disconnect();
      assert.equal((await event(sub, "unsubscribed")).code, asked);
      assert.equal(sub.state, "unsubscribed");
    });

    await t.test(`${engine}: a call waits for the connection and is refused as not available`, async (t) => {
      const client = await connect(t, node.url, way, { connect: false });
      const call = client.rpc("method", payload(client, {}));
      client.connect();
      await assert.rejects(call, { code: 108 });
    });

    await t.test(`${engine}: the network goes and comes back`, async (t) => {
      const networkEventTarget = new EventTarget();
      const client = await connect(t, node.url, way, { networkEventTarget });
      const sub = await subscribe(client, "network");
      networkEventTarget.dispatchEvent(new Event("offline"));
      await until("it connects again", () => client.events.connecting.some(({ code }) => code === transportClosed));
      networkEventTarget.dispatchEvent(new Event("online"));
      await client.ready(10_000);
      await sub.ready(10_000);
      await client.publish("network", payload(client, 1));
      await event(sub, "publication");
      client.disconnect();
      networkEventTarget.dispatchEvent(new Event("online"));
      assert.equal(client.state, "disconnected");
    });

    await t.test(`${engine}: the network goes before the transport is open`, async (t) => {
      const networkEventTarget = new EventTarget();
      const client = await connect(t, node.url, way, { networkEventTarget, connect: false });
      client.once("__centrifuge_debug:transport_initialized", () => networkEventTarget.dispatchEvent(new Event("offline")));
      client.connect();
      await client.ready(10_000);
    });

    await t.test(`${engine}: connects and disconnects in a loop`, async (t) => {
      const client = await connect(t, node.url, way, { connect: false });
      for (let i = 0; i < 10; i++) {
        client.connect();
        client.disconnect();
      }
      assert.equal((await event(client, "disconnected")).code, asked);
      client.connect();
      await client.ready(10_000);
    });

    await t.test(`${engine}: subscribes and unsubscribes in a loop, and is there once`, async (t) => {
      const client = await connect(t, node.url, way);
      const channel = "loop";
      const sub = await subscribe(client, channel);
      for (let i = 0; i < 10; i++) {
        sub.unsubscribe();
        sub.subscribe();
      }
      await sub.ready(10_000);
      assert.deepEqual(await sub.presenceStats(), { numClients: 1, numUsers: 1 });
      assert.deepEqual(Object.keys((await sub.presence()).clients), [client._client]);
      sub.unsubscribe();
      await until("nobody is there", async () => (await client.presenceStats(channel)).numClients === 0);
      assert.deepEqual((await client.presence(channel)).clients, {});
    });

    await t.test(`${engine}: unsubscribes while it connects again`, async (t) => {
      const client = await connect(t, node.url, way);
      const sub = client.newSubscription("between");
      sub.subscribe();
      client.disconnect();
      client.connect();
      sub.unsubscribe();
      assert.equal(sub.state, "unsubscribed");
      sub.subscribe();
      await sub.ready(10_000);
    });

    await t.test(`${engine}: unsubscribes between the connect command and its answer`, async (t) => {
      const client = await connect(t, node.url, way, { connect: false });
      const sub = client.newSubscription("early");
      client.once("__centrifuge_debug:connect_frame_sent", () => sub.unsubscribe());
      sub.subscribe();
      client.connect();
      await client.ready(10_000);
      if (sub.state !== "unsubscribed") sub.unsubscribe(); // over HTTP there is no such moment
      await until("the server has it no more", async () => (await client.presenceStats("early")).numClients === 0);
      sub.subscribe();
      await sub.ready(10_000);
      await client.publish("early", payload(client, 1));
    });

    await t.test(`${engine}: many channels whose tokens come at different times`, async (t) => {
      const client = await connect(t, node.url, way);
      const names = ["team:1", "team:2", "team:3", "team:4", "team:5"];
      const subs = await Promise.all(names.map((channel, i) => subscribe(client, channel, {
        getToken: async () => {
          await new Promise((resolve) => { setTimeout(resolve, 20 * ((i * 3) % 5)); });
          return token({ channel, exp: inSeconds(3600) });
        },
      })));
      for (const sub of subs) {
        assert.equal(sub.state, "subscribed");
        sub.unsubscribe();
      }
      client.disconnect();
      for (const sub of subs) assert.equal((await event(sub, "unsubscribed")).code, asked);
    });
  });
}

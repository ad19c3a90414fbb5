// Who a client is, and what happens when that ends.

import assert from "node:assert/strict";
import { connect, eachWay, event, inSeconds, payload, secret, startMagpie, subscribe, token, until, value, values } from "./support.js";

const rules = '[{match: "open:*", subscribe: anyone, publish: anyone}, {match: "news:*", join_leave: true, log: {size: 100, age: 1h}}]';

eachWay(async (t, way) => {
  const node = await startMagpie(t, { env: { MAGPIE_TOKEN_SECRET: secret, MAGPIE_RULES: rules, MAGPIE_API_KEY: "key-of-at-least-16-bytes" } });
  const as = (user, claims = {}) => token({ sub: user, exp: inSeconds(3600), ...claims });

  await t.test("guests may what the rules say", async (t) => {
    const guest = await connect(t, node.url, way);
    await subscribe(guest, "open:a");
    await guest.publish("open:a", payload(guest, 1));
    const closed = guest.newSubscription("closed");
    const refused = new Promise((resolve) => closed.on("unsubscribed", resolve));
    closed.subscribe();
    assert.equal((await refused).code, 101);
    assert.equal(guest.state, "connected");
  });

  await t.test("users are who their token says", async (t) => {
    const ada = await connect(t, node.url, way, { token: as("ada", { info: { name: "Ada" } }) });
    const sub = await subscribe(ada, "room");
    await ada.publish("room", payload(ada, "hi"));
    const { info } = await event(sub, "publication");
    assert.equal(info.user, "ada");
    assert.deepEqual(value(ada, info.connInfo), { name: "Ada" });
  });

  await t.test("an expired token is got anew before connecting", async (t) => {
    let asked = 0;
    const client = await connect(t, node.url, way, {
      token: as("ada", { exp: inSeconds(-10) }),
      getToken: async () => { asked++; return as("ada"); },
    });
    assert.equal(client.state, "connected");
    assert.equal(asked, 1);
  });

  await t.test("a token that is none ends it for good", async (t) => {
    const client = await connect(t, node.url, way, { token: "x.y.z", connect: false });
    client.connect();
    assert.equal((await event(client, "disconnected")).code, 3500);
  });

  await t.test("a token is refreshed in time, and nothing is interrupted", async (t) => {
    let asked = 0;
    const client = await connect(t, node.url, way, {
      getToken: async () => { asked++; return as("ada", { exp: inSeconds(2) }); },
    });
    const sub = await subscribe(client, "refresh");
    await until("the token was refreshed", () => asked >= 3);
    await client.publish("refresh", payload(client, 1));
    await event(sub, "publication");
    assert.equal(client.events.connecting.length, 1);
  });

  await t.test("private channels, and their tokens' refresh", async (t) => {
    const client = await connect(t, node.url, way, { token: as("ada") });
    let asked = 0;
    const getToken = async ({ channel }) => { asked++; return as("ada", { channel, exp: inSeconds(asked === 1 ? -5 : 2) }); };
    const sub = await subscribe(client, "$private", { getToken });
    await until("the token was refreshed", () => asked >= 4);
    await client.publish("$private", payload(client, 1));
    await event(sub, "publication");
    assert.equal(sub.events.subscribed.length, 1);
  });

  await t.test("channels of a token are recovered with the connection", async (t) => {
    const client = await connect(t, node.url, way, { token: as("bob", { channels: ["inbox"] }) });
    await event(client, "subscribed");
    const other = await connect(t, node.url, way, { token: as("ada") });
    await other.publish("inbox", payload(other, 1));
    await event(client, "publication");
    client.disconnect();
    for (const n of [2, 3]) await other.publish("inbox", payload(other, n));
    client.connect();
    await event(client, "publication", 3);
    assert.deepEqual(values(client, client), [1, 2, 3]);
    const again = client.events.subscribed.at(-1);
    assert.deepEqual([again.wasRecovering, again.recovered], [true, true]);
  });

  await t.test("joins and leaves are told to those who want them", async (t) => {
    const watcher = await connect(t, node.url, way, { token: as("ada") });
    const sub = await subscribe(watcher, "news:x", { joinLeave: true });
    await event(sub, "join");
    const other = await connect(t, node.url, way, { token: as("bob", { info: { n: 1 } }) });
    await subscribe(other, "news:x");
    const id = other._client;
    const { info } = await event(sub, "join", 2);
    assert.deepEqual([info.user, info.client, value(watcher, info.connInfo)], ["bob", id, { n: 1 }]);
    other.disconnect();
    assert.equal((await event(sub, "leave")).info.client, id);
  });
});

// The browser's own EventSource: it reconnects by itself, and Last-Event-ID
// brings exactly what it missed (D2).

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, open } from "./support/browser.js";
import { startMagpie } from "./support/magpie.js";
import { until } from "./support/process.js";
import { startProxy } from "./support/proxy.js";
import { startRedis } from "./support/redis.js";

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

// Opens an EventSource in a page and waits until it is open.
async function listen(t, url) {
  const { page } = await open(t, browser, `${url}/classic`);
  await page.evaluate(() => new Promise((resolve) => {
    window.heard = [];
    window.gaps = 0;
    window.losses = 0;
    const source = new EventSource("/sse?channel=news");
    source.onopen = resolve;
    source.onmessage = (event) => window.heard.push(event.data);
    source.onerror = () => { window.losses++; };
    source.addEventListener("gap", () => { window.gaps++; });
  }));
  const heard = () => page.evaluate(() => window.heard);
  return {
    async hears(wanted) {
      await until("all events", async () => (await heard()).length >= wanted.length, 20_000).catch(() => {});
      assert.deepEqual(await heard(), wanted);
      assert.equal(await page.evaluate(() => window.gaps), 0);
    },
    lost: (n) => until(`loss ${n}`, () => page.evaluate((least) => window.losses >= least, n)),
  };
}

test("a connection cut in mid-stream", async (t) => {
  const node = await startMagpie(t);
  const proxy = await startProxy(t, node.port);
  const source = await listen(t, proxy.url);
  const wanted = [];
  const publish = async (n) => {
    for (let i = 0; i < n; i++) {
      wanted.push(`m${wanted.length}`);
      await node.publish(wanted.at(-1), "news");
    }
  };
  await publish(5);
  await source.hears(wanted);
  for (let round = 1; round <= 2; round++) {
    await publish(5); // perhaps heard, perhaps on the way when the cut comes
    proxy.cut();
    await source.lost(round);
    await publish(20);
    proxy.restore();
    await source.hears(wanted);
  }
});

test("a node killed with -9 and started again", async (t) => {
  const redis = await startRedis(t);
  const [one, two] = await Promise.all([startMagpie(t, { redis }), startMagpie(t, { redis })]);
  const source = await listen(t, one.url);
  const wanted = [];
  const publish = async (n) => {
    for (let i = 0; i < n; i++) {
      wanted.push(`第${wanted.length}\nline two`);
      await two.publish(wanted.at(-1), "news");
    }
  };
  await publish(5);
  await source.hears(wanted);
  await one.end("SIGKILL");
  await source.lost(1);
  await publish(20);
  await startMagpie(t, { redis, port: one.port });
  await publish(5);
  await source.hears(wanted);
});

// Redis behind, two nodes in front.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, open } from "./support/browser.js";
import { startMagpie } from "./support/magpie.js";
import { run, until } from "./support/process.js";
import { startRedis } from "./support/redis.js";
import { online, say, shows } from "./support/app.js";

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

// Two nodes on one Redis, with a reader on each.
async function onTwoNodes(t) {
  const redis = await startRedis(t);
  const [one, two] = await Promise.all([startMagpie(t, { redis }), startMagpie(t, { redis })]);
  const [ada, bob] = [await open(t, browser, one.url), await open(t, browser, two.url)];
  await Promise.all([online(ada.page), online(bob.page)]);
  return { redis, ada, bob };
}

test("a message typed on one node shows on the other", async (t) => {
  const { ada, bob } = await onTwoNodes(t);
  await say(ada.page, "over the bridge");
  await shows(bob.page, ["over the bridge"]);
  await say(bob.page, "and back");
  await shows(ada.page, ["over the bridge", "and back"]);
});

test("P1: a plain PUBLISH in Redis shows in the browser, and stays in the history", async (t) => {
  const { redis, ada, bob } = await onTwoNodes(t);
  await redis.cli("PUBLISH", "chat", '{"content":"Hello from Redis"}');
  await shows(ada.page, ["Hello from Redis"]);
  await shows(bob.page, ["Hello from Redis"]);
  await ada.page.locator(".via", { hasText: "PUBLISH" }).waitFor();
  await ada.page.reload();
  await shows(ada.page, ["Hello from Redis"]);
});

test("the commands of the page, run as they stand, arrive in the room", async (t) => {
  const redis = await startRedis(t);
  const node = await startMagpie(t, { redis });
  const { page, context } = await open(t, browser, node.url);
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await online(page);
  const copied = async (name) => {
    await page.locator(".panel").getByRole("button", { name: `Copy the ${name} command` }).click();
    return page.evaluate(() => navigator.clipboard.readText());
  };
  await run("bash", ["-c", await copied("redis-cli")]);
  await shows(page, ["Hello from Redis"]);
  await run("bash", ["-c", await copied("curl")]);
  await shows(page, ["Hello from Redis", "Hello from curl"]);
  await page.evaluate(await copied("JavaScript"));
  await shows(page, ["Hello from Redis", "Hello from curl", "Hello from JavaScript"]);
  await until("each way in is shown", async () => (await page.locator(".via").allTextContents()).join() === "PUBLISH,HTTP,WebSocket");
});

for (const signal of ["SIGKILL", "SIGTERM"]) {
  test(`a node ended by ${signal} and started again: every message once (D1, D2)`, async (t) => {
    const redis = await startRedis(t);
    const [one, two] = await Promise.all([startMagpie(t, { redis }), startMagpie(t, { redis })]);
    const { page } = await open(t, browser, one.url);
    await online(page);
    const wanted = [];
    const publish = async (n) => {
      for (let i = 0; i < n; i++) {
        wanted.push(`m${wanted.length}`);
        await two.publish(wanted.at(-1));
      }
    };
    await publish(10);
    await shows(page, wanted);
    await one.end(signal);
    await publish(20);
    await startMagpie(t, { redis, port: one.port });
    await publish(10);
    await online(page);
    await publish(10);
    await shows(page, wanted);
    assert.equal(await page.locator(".gap").count(), 0);
  });
}

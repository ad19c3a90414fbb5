// The chat app without a connection: what is written goes out once, in order;
// what was missed comes back, or is marked; nobody is asked to reload.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { enter, online, said, say, shows } from "./support/app.js";
import { launch } from "./support/browser.js";
import { startMagpie } from "./support/magpie.js";
import { until } from "./support/process.js";
import { startProxy } from "./support/proxy.js";
import { startRedis } from "./support/redis.js";

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

const inLog = async (node) => {
  const { messages } = await (await fetch(`${node.url}/history/chat?limit=1000`)).json();
  return messages.map((m) => m.data?.content ?? m.data);
};

test("7: a cut of the network: the banner counts down, the composer works, the outbox goes out once and in order", async (t) => {
  const node = await startMagpie(t);
  const proxy = await startProxy(t, node.port);
  const { page, problems } = await enter(t, browser, proxy.url, { name: "Ann" });
  await say(page, "before");
  await shows(page, ["before"]);
  proxy.cut();
  await page.locator("#banner.shown").waitFor();
  await page.getByText(/Reconnecting in \d+ s/).first().waitFor({ timeout: 15_000 });
  for (const text of ["one", "two", "three"]) await say(page, text);
  assert.equal(await page.locator('.message[data-send-state="waiting"]').count(), 3);
  await page.getByText("Waiting for the connection").first().waitFor(); // in words, not by colour alone
  await node.publish('{"content":"meanwhile"}');
  proxy.restore();
  const retry = page.getByRole("button", { name: "Retry now" });
  if (await retry.isVisible()) await retry.click({ timeout: 1_000 }).catch(() => {}); // it may have come back by itself
  await shows(page, ["before", "meanwhile", "one", "two", "three"], 25_000);
  await until("the banner is gone", async () => (await page.locator("#banner.shown").count()) === 0);
  assert.deepEqual(await inLog(node), ["before", "meanwhile", "one", "two", "three"]);
  assert.equal(await page.locator(".gap").count(), 0);
  assert.deepEqual(problems, []);
});

test("7: Retry now tries at once", async (t) => {
  const node = await startMagpie(t);
  const proxy = await startProxy(t, node.port);
  const { page } = await enter(t, browser, proxy.url);
  proxy.cut();
  // Far enough into the backoff that coming back by itself would take longer.
  await until("a long wait", async () => Number((await page.locator("#banner").textContent()).match(/in (\d+) s/)?.[1] ?? 0) >= 3, 40_000);
  proxy.restore();
  await page.getByRole("button", { name: "Retry now" }).click();
  await page.locator('#line[data-line="online"]').waitFor({ timeout: 2_500 });
});

test("7: the server is killed for 10 s and the page reloaded meanwhile: the outbox survives, and sends once, in order", async (t) => {
  const redis = await startRedis(t);
  const node = await startMagpie(t, { redis });
  const { page } = await enter(t, browser, node.url, { name: "Ann" });
  await say(page, "before");
  await shows(page, ["before"]);
  await page.waitForFunction(() => navigator.serviceWorker.controller !== null || navigator.serviceWorker.ready.then(() => true));
  await page.waitForFunction(async () => (await (await caches.open("magpie-1")).keys()).length >= 4);
  await node.end("SIGKILL");
  const killed = Date.now();
  for (const text of ["one", "two"]) await say(page, text);
  await page.reload();
  await page.locator('.message[data-send-state="waiting"]').nth(1).waitFor();
  await say(page, "three");
  await until("ten seconds are over", () => Date.now() - killed > 10_000, 12_000);
  const again = await startMagpie(t, { redis, port: node.port });
  await shows(page, ["before", "one", "two", "three"], 40_000);
  assert.deepEqual(await inLog(again), ["before", "one", "two", "three"]);
  await page.reload();
  await online(page);
  await shows(page, ["before", "one", "two", "three"]);
});

test("8: an answer that was lost is looked for before it is sent again: never a double", async (t) => {
  const node = await startMagpie(t);
  const proxy = await startProxy(t, node.port);
  const { page } = await enter(t, browser, proxy.url, { name: "Ann" });
  proxy.swallow(); // what the page sends from here on reaches nobody
  await say(page, "into the void");
  await page.getByText("Sending…").waitFor();
  proxy.cut();
  proxy.restore();
  await shows(page, ["into the void"], 30_000);
  assert.deepEqual(await inLog(node), ["into the void"]);
});

test("8: after a reload, what is in the log already is not sent again, however far back it is", async (t) => {
  const node = await startMagpie(t);
  const proxy = await startProxy(t, node.port);
  const { page } = await enter(t, browser, proxy.url, { name: "Ann" });
  proxy.mute(); // the server hears the page, the page hears nothing
  await say(page, "it arrived");
  await until("the server has it", async () => (await inLog(node)).length === 1);
  for (let i = 0; i < 60; i++) await node.publish(`{"content":"${i}"}`); // more than a page of history
  await page.reload();
  await online(page);
  await until("the outbox is empty", async () => (await page.evaluate(() => Object.keys(localStorage).filter((k) => k.startsWith("magpie.outbox")).length)) === 0);
  assert.deepEqual((await inLog(node)).filter((text) => text === "it arrived"), ["it arrived"]);
});

test("8: what waits over a reload goes out when the history comes, however long it takes", async (t) => {
  const node = await startMagpie(t);
  const proxy = await startProxy(t, node.port);
  const { page } = await enter(t, browser, proxy.url, { name: "Ann" });
  await page.waitForFunction(async () => (await (await caches.open("magpie-1")).keys()).length >= 4);
  proxy.cut();
  await page.locator('#line:not([data-line="online"])').waitFor();
  await say(page, "it waits");
  let answer = () => {};
  const held = new Promise((resolve) => { answer = resolve; });
  await page.route("**/history/**", async (route) => {
    await held;
    await route.continue();
  });
  proxy.restore();
  await page.reload();
  await online(page); // before any page of history
  answer();
  await shows(page, ["it waits"]);
  assert.deepEqual(await inLog(node), ["it waits"]);
});

test("8: what the server refuses stays with its writer, with the reason, and can be sent again or discarded", async (t) => {
  const node = await startMagpie(t);
  const { page } = await enter(t, browser, node.url, { name: "Ann" });
  await page.evaluate(() => {
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (data) {
      return send.call(this, typeof data === "string" && data.includes("refuse me") ? data.replaceAll('"channel":"chat"', '"channel":"chat with a space"') : data);
    };
  });
  await say(page, "refuse me");
  await page.getByText(/^Not sent: /).waitFor();
  assert.equal(await page.locator(".send-state.failed").getAttribute("role"), "alert");
  await say(page, "and on it goes");
  await shows(page, ["and on it goes"]);
  await page.getByRole("button", { name: "Discard" }).click();
  await until("it is gone", async () => (await page.locator(".message.failed").count()) === 0);
  await say(page, "refuse me, too");
  await page.getByText(/^Not sent: /).waitFor();
  await page.reload(); // without the trick
  await online(page);
  await page.getByRole("button", { name: "Send again" }).click();
  await shows(page, ["and on it goes", "refuse me, too"]);
});

test("9: three cuts in a row lose nothing and double nothing (D2)", async (t) => {
  const node = await startMagpie(t);
  const proxy = await startProxy(t, node.port);
  const { page } = await enter(t, browser, proxy.url);
  const wanted = [];
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 10; i++) {
      wanted.push(`r${round}m${i}`);
      await node.publish(JSON.stringify({ content: wanted.at(-1) }));
      if (i === 4) {
        proxy.cut();
        await page.locator('#line:not([data-line="online"])').waitFor();
      }
    }
    proxy.restore();
    await online(page);
    await shows(page, wanted);
  }
  assert.equal(await page.locator(".gap").count(), 0);
});

test("9: a log that was lost is marked, the room goes on by itself, and the guest stays known", async (t) => {
  const node = await startMagpie(t);
  const { page, problems } = await enter(t, browser, node.url, { name: "Ann" });
  await node.publish('{"content":"before"}');
  await shows(page, ["before"]);
  await node.end(); // the embedded engine forgets everything, its keys too
  const again = await startMagpie(t, { port: node.port });
  await again.publish('{"content":"in between"}');
  await page.locator(".gap").waitFor({ timeout: 30_000 });
  await online(page);
  await again.publish('{"content":"after"}');
  await shows(page, ["before", "in between", "after"]);
  assert.doesNotMatch(await page.evaluate(() => document.body.innerText), /reload|refresh the page/i);
  await say(page, "still here");
  await shows(page, ["before", "in between", "after", "still here"]);
  assert.deepEqual(problems.filter((p) => !/50[0-9]|40[0-9]/.test(p)), []);
});

test("3, 9: the node is killed under the page: it comes back over another node with what it missed", async (t) => {
  const redis = await startRedis(t);
  const [one, two] = await Promise.all([startMagpie(t, { redis }), startMagpie(t, { redis })]);
  const proxy = await startProxy(t, one.port);
  const { page } = await enter(t, browser, proxy.url, { name: "Ann" });
  const bob = await enter(t, browser, two.url, { name: "Bob" });
  await say(bob.page, "one");
  await shows(page, ["one"]);
  await one.end("SIGKILL");
  await say(bob.page, "two");
  await say(page, "mine");
  proxy.lead(two.port);
  await shows(page, ["one", "two", "mine"], 30_000);
  await shows(bob.page, ["one", "two", "mine"]);
  assert.deepEqual(await said(page), ["one", "two", "mine"]);
});

// 16: the bell: what a server tells a user, on all the user's screens.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { enter, online } from "./support/app.js";
import { launch } from "./support/browser.js";
import { startMagpie } from "./support/magpie.js";
import { until } from "./support/process.js";
import { startRedis } from "./support/redis.js";

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

const userOf = (page) => page.evaluate(() => JSON.parse(localStorage["magpie.guest"]).user);
const count = (page) => page.locator("#bell").getAttribute("aria-label");
const counts = (page, label) => until(`the bell says ${label}`, async () => (await count(page)) === label);

test("a notice from Redis rings on two nodes; what is read on one screen is read on all, also later", async (t) => {
  const redis = await startRedis(t);
  const [one, two] = await Promise.all([startMagpie(t, { redis }), startMagpie(t, { redis })]);
  const { page, context, problems } = await enter(t, browser, one.url);
  const user = await userOf(page);
  const second = await context.newPage();
  await second.goto(`${one.url}/r/lobby`);
  await online(second);
  // The same guest on another device: the token is what makes them the same.
  const device = await browser.newContext({ locale: "en-GB" });
  t.after(() => device.close());
  const phone = await device.newPage();
  await phone.addInitScript((guest) => { localStorage["magpie.guest"] = guest; }, await page.evaluate(() => localStorage["magpie.guest"]));
  await phone.goto(two.url);
  await online(phone);

  await redis.cli("PUBLISH", `user:${user}`, JSON.stringify({ title: "Invoice 1042", text: "It is paid.", link: "/classic", priority: "high" }));
  await counts(page, "Notifications, 1 unread"); // a plain PUBLISH gets its place in the log a moment later
  await one.publish('{"title":"Backup finished"}', `user:${encodeURIComponent(user)}`);
  for (const p of [page, second, phone]) await counts(p, "Notifications, 2 unread");
  assert.equal(await page.title(), "(2) #lobby · Magpie");

  await phone.click("#bell");
  assert.deepEqual(await phone.locator(".bell-title").allTextContents(), ["Backup finished", "Invoice 1042"]);
  assert.equal(await phone.locator(".badge.high").count(), 1);
  assert.equal(await phone.locator("#notices a").getAttribute("href"), "/classic");
  await phone.click("#bell-read");
  for (const p of [page, second, phone]) await counts(p, "Notifications, none unread");
  await page.reload();
  await online(page);
  await page.click("#bell");
  await page.locator("#notices li").nth(1).waitFor();
  assert.equal(await count(page), "Notifications, none unread");
  await one.publish('{"title":"Later"}', `user:${encodeURIComponent(user)}`);
  await counts(phone, "Notifications, 1 unread");
  assert.deepEqual(problems, []);
});

test("another guest rings nobody's bell, and reads nobody's", async (t) => {
  const node = await startMagpie(t);
  const ann = await enter(t, browser, node.url);
  const eve = await enter(t, browser, node.url);
  const user = await userOf(ann.page);
  await node.publish('{"title":"for Ann"}', `user:${encodeURIComponent(user)}`);
  await counts(ann.page, "Notifications, 1 unread");
  await eve.page.evaluate(async ([u, token]) => {
    const socket = new WebSocket(`${location.origin.replace("http", "ws")}/connection/websocket`);
    await new Promise((resolve) => { socket.onopen = resolve; });
    const replies = [];
    socket.onmessage = (e) => replies.push(e.data);
    socket.send(JSON.stringify({ id: 1, connect: { token } }));
    socket.send(JSON.stringify({ id: 2, publish: { channel: `user:${u}`, data: { type: "read", upto: 99 } } }));
    socket.send(JSON.stringify({ id: 3, publish: { channel: `user:${u}`, data: { title: "you have won" } } }));
    while (!replies.join("").includes('"id":3')) await new Promise((resolve) => setTimeout(resolve, 20));
  }, [user, await eve.page.evaluate(() => JSON.parse(localStorage["magpie.guest"]).token)]);
  await node.publish('{"title":"second"}', `user:${encodeURIComponent(user)}`);
  await counts(ann.page, "Notifications, 2 unread");
  await ann.page.click("#bell");
  assert.deepEqual(await ann.page.locator(".bell-title").allTextContents(), ["second", "for Ann"]);
  assert.equal(await count(eve.page), "Notifications, none unread");
});

// The founding article's page, and its client's code as it stands there.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, open } from "./support/browser.js";
import { startMagpie } from "./support/magpie.js";
import { until } from "./support/process.js";
import { startRedis } from "./support/redis.js";

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

const joined = '{"content":"has joined the chat"}\n';
const area = (page) => page.locator("#messages").inputValue();
const reads = (page, text) => until(`the text area reads ${JSON.stringify(text)}`, async () => (await area(page)) === text)
  .catch(async () => assert.equal(await area(page), text));

test("two browsers on the classic page join and talk", async (t) => {
  const node = await startMagpie(t);
  const ada = await open(t, browser, `${node.url}/classic`);
  await reads(ada.page, joined);
  const bob = await open(t, browser, `${node.url}/classic`);
  await reads(ada.page, joined + joined);
  await reads(bob.page, joined);

  await ada.page.fill("#message", 'Hi "Bob" <b>你好</b>');
  await ada.page.click("#send");
  const line = '{"content":"Hi \\"Bob\\" <b>你好</b>"}\n';
  await reads(bob.page, joined + line);
  await reads(ada.page, joined + joined + line);
  assert.equal(await ada.page.inputValue("#message"), "");
  assert.equal(await ada.page.locator("#messages").getAttribute("readonly"), "");
  assert.deepEqual([...ada.problems, ...bob.problems], []);
});

test("a PUBLISH in Redis shows on the classic page, byte for byte", async (t) => {
  const redis = await startRedis(t);
  const node = await startMagpie(t, { redis });
  const { page } = await open(t, browser, `${node.url}/classic`);
  await reads(page, joined);
  await redis.cli("PUBLISH", "chat", "not  even { JSON");
  await reads(page, `${joined}not  even { JSON\n`);
});

test("the article's script works in any page of the same origin", async (t) => {
  const node = await startMagpie(t);
  const other = await open(t, browser, `${node.url}/classic`);
  await reads(other.page, joined);
  const { page } = await open(t, browser, `${node.url}/`);
  await page.evaluate(() => {
    window.heard = [];
    const socket = new WebSocket("ws://" + document.location.host + "/websocket");
    socket.onopen = () => socket.send(JSON.stringify({ content: "has joined the chat" }));
    socket.onmessage = (event) => window.heard.push(event.data);
  });
  await reads(other.page, joined + joined);
  assert.deepEqual(await page.evaluate(() => window.heard), [joined.trim()]);
});

test("a server that went away is told", async (t) => {
  const node = await startMagpie(t);
  const { page } = await open(t, browser, `${node.url}/classic`);
  await reads(page, joined);
  await node.end();
  await page.getByText("Disconnected.").waitFor();
  assert.equal(await page.locator("#send").isDisabled(), true);
});

// The second engine: what differs between browsers, in Firefox.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launchFirefox, online, say, shows, there } from "./support/firefox.js";
import { startMagpie } from "./support/magpie.js";
import { startProxy } from "./support/proxy.js";
import { embedded, foreign } from "./support/sites.js";

let firefox;
before(async () => { firefox = await launchFirefox(); });
after(() => firefox?.close());

async function open(t, browser, url) {
  const page = await browser.newPage();
  t.after(() => page.close());
  const problems = [];
  page.on("pageerror", (error) => { if (!isLostConnection(String(error))) problems.push(String(error)); });
  await page.goto(url);
  return { page, problems };
}

// Firefox reports each connection that was cut, and each file that a service
// worker could not load meanwhile, as an error of the page; the tests cut on purpose.
const isLostConnection = (text) => /establish a connection to the server at ws:|connection to ws:\S+ was interrupted|ServiceWorker intercepted the request/.test(text);

// The frame of the embedded app, which is opened by a click.
async function openFrame(page) {
  await page.waitForFunction(() => document.querySelector("body > div")?.shadowRoot?.querySelector("button"));
  await page.evaluate(() => document.querySelector("body > div").shadowRoot.querySelector("button").click());
  const frame = await page.waitForFrame((f) => f.url().includes("/embed?"));
  await online(frame);
  return frame;
}

test("the page connects, sends, and shows what came while it was away, once and in order", async (t) => {
  const node = await startMagpie(t);
  const proxy = await startProxy(t, node.port);
  const { page, problems } = await open(t, firefox, proxy.url);
  await online(page);
  await say(page, "one");
  await shows(page, ["one"]);
  proxy.cut();
  await there(page, '#line:not([data-line="online"])');
  await say(page, "three");
  await node.publish('{"content":"two"}');
  await page.reload().catch(() => {}); // the page comes from the cache, or not at all
  proxy.restore();
  await page.goto(proxy.url);
  await online(page);
  await shows(page, ["one", "two", "three"]);
  assert.deepEqual(problems, []);
});

test("embedded on another site it connects and sends, as Firefox comes", async (t) => {
  const shop = await foreign(t, "shop.localhost");
  const node = await startMagpie(t, { env: { MAGPIE_ALLOWED_ORIGINS: shop.url } });
  shop.page.html = embedded(node.url, 'data-room="support"');
  const { page } = await open(t, firefox, shop.url);
  const frame = await openFrame(page);
  await say(frame, "from a frame");
  await shows(frame, ["from a frame"]);
});

test("where all storage is blocked, the page and the embedded app work without it", async (t) => {
  const browser = await launchFirefox({ "network.cookie.cookieBehavior": 2 });
  t.after(() => browser.close());
  const shop = await foreign(t, "shop.localhost");
  const node = await startMagpie(t, { env: { MAGPIE_ALLOWED_ORIGINS: shop.url } });
  const { page } = await open(t, browser, node.url);
  await online(page);
  await say(page, "without storage");
  await shows(page, ["without storage"]);
  shop.page.html = embedded(node.url, 'data-room="support"');
  const { page: other } = await open(t, browser, shop.url);
  const frame = await openFrame(other);
  await say(frame, "without storage, too");
  await shows(frame, ["without storage, too"]);
});

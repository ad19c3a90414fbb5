// The chat and the bell on somebody else's page.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { enter, say, shows } from "./support/app.js";
import { launch, open } from "./support/browser.js";
import { startMagpie } from "./support/magpie.js";
import { until } from "./support/process.js";
import { embedded, foreign } from "./support/sites.js";
import { secret, sign } from "./support/token.js";

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

test("a click opens the room in a frame; what is said there is said in the room", async (t) => {
  const shop = await foreign(t);
  const node = await startMagpie(t, { env: { MAGPIE_ALLOWED_ORIGINS: shop.url } });
  shop.page.html = embedded(node.url, 'data-room="support"');
  const { page, problems } = await open(t, browser, shop.url);
  assert.equal(page.frames().length, 1); // nothing is loaded before the click
  await page.getByRole("button", { name: "Chat" }).click();
  const frame = page.frameLocator("iframe");
  await frame.locator('#line[data-line="online"]').waitFor();
  await frame.locator("#text").fill("do you ship to 上海?");
  await frame.locator("#text").press("Enter");
  const desk = await enter(t, browser, node.url, { room: "support" });
  await shows(desk.page, ["do you ship to 上海?"]);
  await say(desk.page, "we do");
  await frame.getByText("we do", { exact: true }).waitFor();
  await page.keyboard.press("Escape");
  assert.deepEqual(problems.filter((p) => !/favicon/.test(p)), []);
});

test("the host's user is the frame's user, by the host's token; the count shows on the button", async (t) => {
  const shop = await foreign(t);
  const node = await startMagpie(t, { env: { MAGPIE_ALLOWED_ORIGINS: shop.url, MAGPIE_TOKEN_SECRET: secret } });
  const token = sign({ sub: "42", info: { name: "Ann of the shop" } });
  shop.page.html = `<script>window.magpie = { token: () => Promise.resolve(${JSON.stringify(token)}) }</script>${embedded(node.url, 'data-room="support" data-label="Ask us"')}`;
  const { page } = await open(t, browser, shop.url);
  await page.getByRole("button", { name: "Ask us" }).click();
  const frame = page.frameLocator("iframe");
  await frame.locator('#line[data-line="online"]').waitFor();
  await frame.locator("#text").fill("it is me");
  await frame.locator("#text").press("Enter");
  await frame.locator(".author", { hasText: "Ann of the shop" }).waitFor();
  assert.equal(await page.evaluate(() => JSON.stringify({ ...localStorage })), "{}");
});

test("a page that is not named may not frame it, nor give it a token", async (t) => {
  const shop = await foreign(t);
  const node = await startMagpie(t);
  shop.page.html = embedded(node.url, 'data-room="support"');
  const { page } = await open(t, browser, shop.url);
  const refused = page.waitForEvent("console", (m) => /frame-ancestors/i.test(m.text()));
  await page.getByRole("button", { name: "Chat" }).click();
  await refused;
  assert.equal(await page.frameLocator("iframe").locator("#text").count(), 0);
  assert.equal((await fetch(`${node.url}/`)).headers.get("content-security-policy").includes("frame-ancestors 'none'"), true);
});

test("the bell counts before it is opened, and again when it is closed; a path is one of the page's own site", async (t) => {
  const shop = await foreign(t, "shop.localhost");
  const node = await startMagpie(t, { env: { MAGPIE_ALLOWED_ORIGINS: shop.url, MAGPIE_TOKEN_SECRET: secret, MAGPIE_API_KEY: "a-key-of-the-test" } });
  const notify = (title) => fetch(`${node.url}/publish/user:42`, { method: "POST", headers: { "X-API-Key": "a-key-of-the-test" }, body: JSON.stringify({ title, link: "/invoices/1" }) });
  await notify("while away");
  shop.page.html = `<script>window.magpie = { token: ${JSON.stringify(sign({ sub: "42" }))} }</script>${embedded(node.url, 'data-mode="bell"')}`;
  const { page } = await open(t, browser, shop.url);
  const count = page.locator(".count");
  await count.filter({ hasText: /^1$/ }).waitFor();
  await notify("while closed");
  await count.filter({ hasText: /^2$/ }).waitFor();
  const button = page.getByRole("button", { name: "Notifications" });
  await button.click();
  const link = page.frameLocator("iframe").locator("#notices a").first();
  await link.waitFor();
  assert.equal(await link.getAttribute("href"), `${shop.url}/invoices/1`);
  assert.equal(await count.isVisible(), false);
  await button.click();
  assert.equal(await count.isVisible(), true);
});

test("the demo page works as it stands, and the bell alone", async (t) => {
  const node = await startMagpie(t);
  const { page, problems, hosts } = await open(t, browser, `${node.url}/embed-demo`);
  await page.getByRole("button", { name: "Chat" }).click();
  await page.frameLocator("iframe").locator('#line[data-line="online"]').waitFor();
  const bell = await open(t, browser, `${node.url}/embed?mode=bell`);
  await bell.page.getByText("Nothing new.").waitFor();
  const user = await bell.page.evaluate(() => JSON.parse(localStorage["magpie.guest"]).user);
  await until("the notice is there", async () => {
    await node.publish('{"title":"Order shipped"}', `user:${encodeURIComponent(user)}`);
    return (await bell.page.locator(".bell-title").count()) > 0;
  });
  assert.deepEqual([...problems, ...bell.problems], []);
  assert.deepEqual([...hosts], [new URL(node.url).host]);
});

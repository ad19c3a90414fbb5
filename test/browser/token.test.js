// A server that asks for a token: the page asks the reader for it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, open } from "./support/browser.js";
import { startMagpie } from "./support/magpie.js";
import { freePort, until } from "./support/process.js";
import { startProxy } from "./support/proxy.js";
import { online, say, shows } from "./support/app.js";
import { secret, sign } from "./support/token.js";

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

const start = (t) => startMagpie(t, { env: { MAGPIE_TOKEN_SECRET: secret } });

test("the page asks for a token, refuses a wrong one, and joins with a right one", async (t) => {
  const node = await start(t);
  const { page } = await open(t, browser, node.url);
  const field = page.getByLabel("This server asks for a token.");
  await field.waitFor();
  await field.fill("wrong");
  await page.keyboard.press("Enter");
  await page.getByText("The server did not accept this token.").waitFor();

  await field.fill(sign({ sub: "ada" }));
  await page.keyboard.press("Enter");
  await online(page);
  assert.equal(await field.isVisible(), false);
  assert.equal(await page.locator(".as .name-button").count(), 0, "a name that comes with a token is not typed");
  await say(page, "it is me");
  await shows(page, ["it is me"]);
  assert.equal(await page.locator(".author").textContent(), "ada", "the server's name wins over a typed one");
  await page.locator(".message .badge.verified").waitFor();

  await page.reload();
  await online(page); // the tab keeps it
  assert.equal(await page.evaluate(() => Object.values({ ...localStorage }).join().includes("eyJ")), false);
});

test("a token in the address joins, and is nowhere to be read afterwards", async (t) => {
  const node = await start(t);
  const token = sign({ sub: "bo" });
  const { page } = await open(t, browser, `${node.url}/#token=${token}`);
  await online(page);
  assert.equal(page.url(), `${node.url}/`);
  assert.doesNotMatch(node.output(), new RegExp(token.split(".")[2]));
});

// Joins with a token that ends soon. On a busy machine the page may take longer
// to join than the token lives: then it gets one that lives twice as long.
async function joinFor(page, url, sub) {
  for (let seconds = 4; ; seconds *= 2) {
    const end = Math.floor(Date.now() / 1000) + seconds;
    await page.goto("about:blank");
    await page.goto(`${url}/#token=${sign({ sub, exp: end })}`);
    const field = page.getByLabel("This server asks for a token.");
    await page.locator('#line[data-line="online"]').or(field).first().waitFor();
    if (Date.now() < (end - 1) * 1000 && !(await field.isVisible())) return end;
  }
}

test("a token that ends while the page is open is asked for again", async (t) => {
  const node = await start(t);
  const { page } = await open(t, browser, "about:blank");
  await joinFor(page, node.url, "cy");
  await page.getByLabel("This server asks for a token.").waitFor();
});

test("a token that ends while the connection is away is asked for again", async (t) => {
  const node = await start(t);
  const proxy = await startProxy(t, node.port);
  const { page } = await open(t, browser, "about:blank");
  const end = await joinFor(page, proxy.url, "di");
  proxy.cut();
  await until("the token has ended", () => Date.now() > (end + 1) * 1000, 60_000);
  proxy.restore(); // the next handshake is refused, and the browser does not say why
  await page.getByLabel("This server asks for a token.").waitFor();
});

test("a moderator, by the claim in the host's token, deletes what others say", async (t) => {
  const node = await start(t);
  const ann = await open(t, browser, `${node.url}/#token=${sign({ sub: "ann" })}`);
  const mia = await open(t, browser, `${node.url}/#token=${sign({ sub: "mia", info: { name: "Mia", moderator: true } })}`);
  await Promise.all([online(ann.page), online(mia.page)]);
  await say(ann.page, "buy cheap watches");
  await shows(mia.page, ["buy cheap watches"]);
  await mia.page.locator(".message").hover();
  await mia.page.getByRole("button", { name: "Delete" }).click();
  await mia.page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await ann.page.locator("p.deleted").waitFor();
});

test("who has no token is told where one comes from; a developer's machine says how to make one", async (t) => {
  const node = await start(t);
  const { page } = await open(t, browser, node.url);
  await page.getByText("You get one from the application that this chat belongs to").waitFor();
  assert.equal(await page.locator("#token-form code").textContent(), "magpie token new --user NAME");
});

test("a customer sees no commands, but for who asks in the settings", async (t) => {
  const port = await freePort();
  const url = `http://chat.test:${port}`;
  const node = await startMagpie(t, { port, env: { MAGPIE_TOKEN_SECRET: secret, MAGPIE_ALLOWED_ORIGINS: url } });
  const elsewhere = await launch(["--host-resolver-rules=MAP chat.test 127.0.0.1"]);
  t.after(() => elsewhere.close());
  const { page } = await open(t, elsewhere, url);
  await page.getByText("You get one from the application").waitFor();
  assert.equal(await page.locator("#token-form code").count(), 0);
  await page.goto(`${url}/?#token=${sign({ sub: "cu" })}`);
  await online(page);
  await page.locator(".panel .member").waitFor();
  assert.equal(await page.locator(".example").count(), 0);
  assert.equal(await page.locator("#empty p").textContent(), "Write the first message below.");
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByRole("switch", { name: "Show how programs publish here" }).check();
  await page.keyboard.press("Escape");
  await page.locator(".panel .example").first().waitFor();
  assert.equal(node.output().includes("eyJ"), false);
});

test("the classic page says how to join with a token, and joins with one", async (t) => {
  const node = await start(t);
  const { page } = await open(t, browser, `${node.url}/classic`);
  await page.getByText("open /classic#token=TOKEN").waitFor();
  await page.goto("about:blank");
  await page.goto(`${node.url}/classic#token=${sign({ sub: "ada" })}`);
  await page.locator("#send:not([disabled])").waitFor();
  assert.equal(page.url(), `${node.url}/classic`);
  assert.doesNotMatch(node.output(), /eyJ/);
});

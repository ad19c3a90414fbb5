// Behind a proxy that asks for a cookie or a password: the chat page, and pages
// of another site.

import assert from "node:assert/strict";
import { test } from "node:test";
import { enter, online, say, shows } from "./support/app.js";
import { launch, launchWith } from "./support/browser.js";
import { startGate } from "./support/gate.js";
import { startMagpie } from "./support/magpie.js";
import { embedded, foreign } from "./support/sites.js";

// Chromium lets other sites' cookies through unless its reader blocks them; the
// contexts of tests are as private windows, which do.
const asShipped = { profile: { cookie_controls_mode: 0 } };

test("the chat page sends the cookie with all that it asks", async (t) => {
  const node = await startMagpie(t);
  const url = await startGate(t, node.port);
  const page = await (await launchWith(t, asShipped)).newPage();
  await page.goto(`${url}/login`);
  await page.goto(`${url}/r/lobby`);
  await online(page);
  await say(page, "who am I?");
  await shows(page, ["who am I?"]);
  await page.reload();
  await shows(page, ["who am I?"]);
});

test("the chat page leaves Authorization to a proxy that asks for a password", async (t) => {
  const node = await startMagpie(t);
  const user = { username: "ann", password: "secret" };
  const browser = await launch();
  t.after(() => browser.close());
  const { page } = await enter(t, browser, await startGate(t, node.port, user), { httpCredentials: user });
  await say(page, "let me in");
  await shows(page, ["let me in"]);
  await page.reload();
  await shows(page, ["let me in"]);
});

/** What a page of another site gets through the gate with each way of asking. */
async function visit(t, allowed) {
  const shop = await foreign(t, "shop.localhost");
  const node = await startMagpie(t, { env: { MAGPIE_ALLOWED_ORIGINS: allowed ?? shop.url } });
  const url = await startGate(t, node.port);
  const page = await (await launchWith(t, asShipped)).newPage();
  await page.goto(`${url}/login`);
  shop.page.html = embedded(url, 'data-room="support"');
  await page.goto(shop.url);
  const got = await page.evaluate(async (magpie) => {
    const stream = new EventSource(`${magpie}/sse?channel=till`, { withCredentials: true });
    const opened = await new Promise((resolve) => { stream.onopen = () => resolve(true); stream.onerror = () => resolve(false); });
    const heard = new Promise((resolve) => { stream.onmessage = (event) => resolve(event.data); });
    let published;
    try {
      const answer = await fetch(`${magpie}/publish/till`, { method: "POST", credentials: "include", headers: { "X-Trace": "1" }, body: "ring" });
      published = answer.status;
    } catch {
      published = "refused";
    }
    const data = opened ? await heard : undefined;
    stream.close();
    return { opened, published, data };
  }, url);
  return { got, page };
}

test("a page of a named origin asks with the cookie, by EventSource, fetch and in the embedded chat", async (t) => {
  const { got, page } = await visit(t);
  assert.deepEqual(got, { opened: true, published: 200, data: "ring" });
  await page.getByRole("button", { name: "Chat" }).click();
  await page.frameLocator("iframe").locator('#line[data-line="online"]').waitFor();
});

test("where everybody may come nobody reads with the cookie", async (t) => {
  const { got } = await visit(t, "*");
  assert.deepEqual(got, { opened: false, published: "refused", data: undefined });
});

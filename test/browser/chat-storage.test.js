// Where a browser blocks storage, for other sites or for all: the app works
// without it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { online, say, shows } from "./support/app.js";
import { launchWith } from "./support/browser.js";
import { startMagpie } from "./support/magpie.js";
import { embedded, foreign } from "./support/sites.js";

const blocking = {
  "as it comes": {},
  "other sites' storage": { profile: { cookie_controls_mode: 1, block_third_party_cookies: true } },
  "all storage": { profile: { default_content_setting_values: { cookies: 2 } } },
};

for (const [what, preferences] of Object.entries(blocking)) {
  test(`embedded on another site, blocked: ${what}`, async (t) => {
    const shop = await foreign(t, "shop.localhost");
    const node = await startMagpie(t, { env: { MAGPIE_ALLOWED_ORIGINS: shop.url } });
    shop.page.html = embedded(node.url, 'data-room="support"');
    const context = await launchWith(t, preferences);
    const page = await context.newPage();
    await page.goto(shop.url);
    await page.getByRole("button", { name: "Chat" }).click();
    const frame = page.frameLocator("iframe");
    await frame.locator('#line[data-line="online"]').waitFor();
    await frame.locator("#text").fill("without a cookie");
    await frame.locator("#text").press("Enter");
    await frame.locator('.message[data-send-state="sent"]', { hasText: "without a cookie" }).waitFor();
  });
}

test("the app itself, where all storage is blocked: what is written goes out, and a guest's name stays for the page", async (t) => {
  const node = await startMagpie(t);
  const context = await launchWith(t, blocking["all storage"]);
  const page = await context.newPage();
  await page.goto(node.url);
  await online(page);
  assert.equal(await page.evaluate(() => { try { return localStorage.length; } catch (e) { return e.name; } }), "SecurityError");
  await page.locator("#name").click();
  await page.fill("#your-name", "Ann");
  await page.press("#your-name", "Enter");
  await page.locator("#name", { hasText: "Ann" }).waitFor();
  await say(page, "here I am");
  await shows(page, ["here I am"]);
});

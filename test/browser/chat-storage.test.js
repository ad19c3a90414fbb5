// Where a browser blocks all storage the app works without it; engines.test.js
// has what holds in every engine.

import assert from "node:assert/strict";
import { test } from "node:test";
import { online, say, shows } from "./support/app.js";
import { launchWith } from "./support/browser.js";
import { startMagpie } from "./support/magpie.js";

test("the app itself, where all storage is blocked: what is written goes out, and a guest's name stays for the page", async (t) => {
  const node = await startMagpie(t);
  const context = await launchWith(t, { profile: { default_content_setting_values: { cookies: 2 } } });
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

// How the pages stand on small screens, in both schemes, and for those who
// hear them.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { launch, open } from "./support/browser.js";
import { startMagpie } from "./support/magpie.js";
import { connected, shows } from "./support/room.js";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

const findings = async (page) => {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  return violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(" ")).join(", ")}`);
};

for (const colorScheme of ["light", "dark"]) {
  test(`axe finds nothing, ${colorScheme}`, async (t) => {
    const node = await startMagpie(t);
    for (const locale of ["en-GB", "zh-CN"]) {
      const { page } = await open(t, browser, node.url, { colorScheme, locale });
      await connected(page);
      assert.deepEqual(await findings(page), [], `${locale}, as opened`);
      await node.publish(`{"content":"hello","name":"Ada"}`);
      await page.locator(".message").first().waitFor();
      assert.deepEqual(await findings(page), [], `${locale}, with messages`);
      await page.setViewportSize({ width: 320, height: 600 });
      assert.deepEqual(await findings(page), [], `${locale}, narrow`);
    }
    const { page } = await open(t, browser, `${node.url}/classic`, { colorScheme });
    await page.locator("#send:enabled").waitFor();
    assert.deepEqual(await findings(page), [], "classic");
    await node.end();
    await page.getByText("Disconnected.").waitFor();
    assert.deepEqual(await findings(page), [], "classic, disconnected");
  });
}

test("320 pixels are enough, in both languages", async (t) => {
  const node = await startMagpie(t);
  await node.publish(JSON.stringify({ content: "x".repeat(500), name: "n".repeat(40) }));
  for (const locale of ["en-GB", "zh-CN"]) {
    for (const path of ["/", "/classic"]) {
      const { page } = await open(t, browser, node.url + path, { locale, viewport: { width: 320, height: 568 } });
      await page.locator("#messages").waitFor({ state: "attached" });
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 320, `${path} ${locale}`);
    }
  }
});

test("the keyboard alone is enough to write, and to reach every control", async (t) => {
  const node = await startMagpie(t);
  const { page } = await open(t, browser, node.url);
  await connected(page);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter"); // the skip link
  await page.keyboard.type("by keyboard");
  await page.keyboard.press("Enter");
  await shows(page, ["by keyboard"]);
  const reached = new Set();
  for (let i = 0; i < 25; i++) {
    await page.keyboard.press("Tab");
    reached.add(await page.evaluate(() => document.activeElement.id || document.activeElement.textContent.trim()));
  }
  for (const name of ["scroll", "text", "name", "send-message", "English", "中文", "Copy", "The classic page"]) {
    assert.ok(reached.has(name), `${name} is out of reach; reached ${[...reached]}`);
  }
});

test("screen readers hear what others say, not the history and not one's own", async (t) => {
  const node = await startMagpie(t);
  await node.publish(`{"content":"old","name":"Ada"}`);
  const { page } = await open(t, browser, node.url);
  await connected(page);
  await shows(page, ["old"]);
  await page.fill("#text", "mine");
  await page.keyboard.press("Enter");
  await shows(page, ["old", "mine"]);
  await node.publish(`{"content":"new","name":"Ada"}`);
  await page.waitForFunction(() => document.getElementById("announcer").textContent !== "");
  assert.equal(await page.locator("#announcer").textContent(), "Ada: new");
});

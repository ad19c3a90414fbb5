// The first page on one node with the embedded engine.

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch, open } from "./support/browser.js";
import { startMagpie } from "./support/magpie.js";
import { until } from "./support/process.js";
import { startProxy } from "./support/proxy.js";
import { connected, say, shows, texts } from "./support/room.js";

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

test("a message typed in one browser shows in another, and in one's own once", async (t) => {
  const node = await startMagpie(t);
  const ada = await open(t, browser, node.url);
  const bob = await open(t, browser, node.url);
  await Promise.all([connected(ada.page), connected(bob.page)]);
  await ada.page.fill("#name", "Ada");
  await say(ada.page, "Hello from Ada");
  await shows(bob.page, ["Hello from Ada"]);
  await shows(ada.page, ["Hello from Ada"]);
  assert.equal(await bob.page.locator(".message .author").textContent(), "Ada");
  assert.equal(await ada.page.locator("#pending li").count(), 0);
  assert.equal(await ada.page.inputValue("#text"), "");
  assert.deepEqual([...ada.problems, ...bob.problems], []);
});

test("who opens the page later sees what was said, in order", async (t) => {
  const node = await startMagpie(t);
  for (let i = 1; i <= 60; i++) await node.publish(`{"content":"m${i}"}`);
  const { page } = await open(t, browser, node.url);
  await connected(page);
  const wanted = Array.from({ length: 50 }, (_, i) => `m${i + 11}`);
  await shows(page, wanted);
  await node.publish(`{"content":"m61"}`);
  await shows(page, [...wanted, "m61"]);
});

test("an empty room says what to do, until somebody speaks", async (t) => {
  const node = await startMagpie(t);
  const { page } = await open(t, browser, node.url);
  await page.locator("#empty").waitFor();
  await node.publish(`{"content":"first"}`);
  await shows(page, ["first"]);
  assert.equal(await page.locator("#empty").isVisible(), false);
});

test("every kind of payload is shown as text", async (t) => {
  const node = await startMagpie(t);
  const { page } = await open(t, browser, node.url);
  await connected(page);
  await node.publish("plain words");
  await node.publish('{"order":7}');
  await node.publish(new Uint8Array([0xff, 0xfe, 0x00]));
  await node.publish("两岸\n相会");
  const wanted = ["plain words", '{"order":7}', "Binary, 3 bytes", "两岸\n相会"];
  await shows(page, wanted);
  await page.reload();
  await shows(page, wanted); // the history says the same as the socket
});

test("a cut connection comes back by itself with exactly what was missed (D2)", async (t) => {
  const node = await startMagpie(t);
  const proxy = await startProxy(t, node.port);
  const { page } = await open(t, browser, proxy.url);
  await connected(page);
  const wanted = [];
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 10; i++) {
      wanted.push(`r${round}m${i}`);
      await node.publish(wanted.at(-1));
      if (i === 4) {
        proxy.cut();
        await page.locator('.connection:not([data-state="open"])').waitFor();
      }
    }
    proxy.restore();
    await connected(page);
    await shows(page, wanted);
  }
  assert.equal(await page.locator(".gap").count(), 0);
});

test("without a connection the text stays, and goes out afterwards", async (t) => {
  const node = await startMagpie(t);
  const proxy = await startProxy(t, node.port);
  const { page } = await open(t, browser, proxy.url);
  await connected(page);
  proxy.cut();
  await page.locator('.connection[data-state="waiting"]').waitFor();
  assert.equal(await page.locator("#send-message").isDisabled(), true);
  await say(page, "not lost");
  assert.equal(await page.inputValue("#text"), "not lost");
  proxy.restore();
  await connected(page);
  await page.click("#send-message");
  await shows(page, ["not lost"]);
});

test("what was sent into a dead connection is told, and sent again once", async (t) => {
  const node = await startMagpie(t);
  const proxy = await startProxy(t, node.port);
  const { page } = await open(t, browser, proxy.url);
  await connected(page);
  proxy.swallow();
  await say(page, "into the void");
  await page.getByText("Sending…").waitFor();
  proxy.cut();
  await page.getByText("Not confirmed").waitFor();
  proxy.restore();
  await connected(page);
  await page.getByRole("button", { name: "Send again" }).click();
  await shows(page, ["into the void"]);
  await until("nothing is pending", async () => (await page.locator("#pending li").count()) === 0);
});

test("a message that is too long comes back to its writer", async (t) => {
  const node = await startMagpie(t);
  const { page } = await open(t, browser, node.url);
  await connected(page);
  const long = "long ".repeat(20_000);
  await say(page, long);
  await page.waitForFunction(() => document.getElementById("alert").textContent !== "");
  assert.equal(await page.inputValue("#text"), long);
  assert.equal(await page.locator("#pending li").count(), 0);
  await connected(page);
  await say(page, "short");
  await shows(page, ["short"]);
});

test("a message that the rules refuse comes back to its writer, with the reason", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "magpie-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const config = join(dir, "magpie.yaml");
  await writeFile(config, "rules:\n  - match: chat\n    publish: server\n");
  const node = await startMagpie(t, { flags: ["--config", config] });
  const { page } = await open(t, browser, node.url);
  await connected(page);
  await say(page, "may I?");
  await page.getByText(/not allowed to publish/).waitFor();
  assert.equal(await page.inputValue("#text"), "may I?");
  assert.equal(await page.locator("#pending li").count(), 0);
  assert.equal(await page.locator(".connection").getAttribute("data-state"), "open");
});

test("a restart that lost the log is marked, and the room goes on (D2)", async (t) => {
  const node = await startMagpie(t);
  const { page } = await open(t, browser, node.url);
  await connected(page);
  await node.publish("before");
  await shows(page, ["before"]);
  await node.end();
  const again = await startMagpie(t, { port: node.port });
  await page.locator(".gap").waitFor();
  await connected(page);
  await again.publish("after");
  await shows(page, ["before", "after"]);
});

test("the page speaks the reader's language, and the other at a click", async (t) => {
  const node = await startMagpie(t);
  await node.publish(`{"content":"hi"}`);
  const { page, problems } = await open(t, browser, node.url, { locale: "zh-CN" });
  await page.getByText("已连接").first().waitFor();
  assert.equal(await page.locator("html").getAttribute("lang"), "zh-CN");
  assert.equal(await page.locator("#send-message").textContent(), "发送");
  assert.equal(await page.locator("#text").getAttribute("placeholder"), "写一条消息");
  const left = await page.evaluate(() => document.body.innerText.match(/Publish|Connected|Send\b|classic page|Message|Copy/g));
  assert.equal(left, null, `left in English: ${left}`);

  await page.getByRole("button", { name: "English" }).click();
  await page.getByText("Connected").first().waitFor();
  assert.equal(await page.locator("html").getAttribute("lang"), "en");
  const chinese = await page.evaluate(() => document.body.innerText.replace("中文", "").match(/[\u4e00-\u9fff]/g));
  assert.equal(chinese, null, `left in Chinese: ${chinese}`);
  await page.reload();
  await page.getByText("Connected").first().waitFor(); // the choice is kept
  assert.deepEqual(problems, []);
});

test("Enter in an input method's composition does not send", async (t) => {
  const node = await startMagpie(t);
  const { page, context } = await open(t, browser, node.url);
  await connected(page);
  await page.focus("#text");
  const devtools = await context.newCDPSession(page);
  await devtools.send("Input.imeSetComposition", { text: "ni hao", selectionStart: 6, selectionEnd: 6 });
  await page.evaluate(() => {
    const field = document.getElementById("text");
    field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", isComposing: true, bubbles: true }));
    field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", keyCode: 229, bubbles: true })); // Safari's order
  });
  await devtools.send("Input.insertText", { text: "你好" });
  assert.equal(await page.inputValue("#text"), "你好");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("second line");
  await page.keyboard.press("Enter");
  await shows(page, ["你好\nsecond line"]);
});

test("X11: a flood keeps the page small and the reader where they are", async (t) => {
  const node = await startMagpie(t);
  const { page } = await open(t, browser, node.url);
  await connected(page);
  const publishAll = async (name, n) => {
    for (let i = 0; i < n; i += 50) await Promise.all(Array.from({ length: 50 }, (_, j) => node.publish(`${name}${i + j}`)));
  };
  await publishAll("a", 100);
  await until("the first hundred", async () => (await texts(page)).length === 100);
  await page.evaluate(() => { document.getElementById("scroll").scrollTop = 400; });
  const place = () => page.evaluate(() => {
    const box = document.getElementById("scroll").getBoundingClientRect();
    const row = document.elementFromPoint(box.left + 100, box.top + 60).closest(".message");
    return [row.textContent, row.getBoundingClientRect().top];
  });
  const [text, top] = await place();
  await publishAll("b", 150);
  await until("all are there", async () => (await texts(page)).length === 250);
  const [laterText, laterTop] = await place();
  assert.equal(laterText, text);
  assert.ok(Math.abs(laterTop - top) <= 1, `moved by ${laterTop - top} px`);

  await page.evaluate(() => { document.getElementById("scroll").scrollTop = document.getElementById("scroll").scrollHeight - 3_000; });
  const [readText, readTop] = await place();
  await publishAll("old", 100); // 50 rows at the top make room
  await until("the last is there", async () => (await texts(page)).at(-1)?.startsWith("old"));
  await until("the first went", async () => (await texts(page)).length === 300);
  const [keptText, keptTop] = await place();
  assert.equal(keptText, readText);
  assert.ok(Math.abs(keptTop - readTop) <= 1, `moved by ${keptTop - readTop} px`);
  await page.getByRole("button", { name: "new messages" }).click();
  await publishAll("c", 500);
  await until("the last is there", async () => (await texts(page)).length === 300);
  assert.ok((await page.locator("#messages > li").count()) <= 300);
});

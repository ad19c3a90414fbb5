// The list of messages: long logs, and a reading position that does not move.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { enter, online, say, shows } from "./support/app.js";
import { launch, open } from "./support/browser.js";
import { startMagpie } from "./support/magpie.js";
import { until } from "./support/process.js";
import { startRedis } from "./support/redis.js";

let browser;
before(async () => { browser = await launch([], { ignoreDefaultArgs: ["--hide-scrollbars"] }); });
after(() => browser?.close());

// A row in the middle of the view, and where it is.
const place = (page) => page.evaluate(() => {
  const box = document.getElementById("scroll").getBoundingClientRect();
  for (let y = 80; y < box.height; y += 5) {
    const row = document.elementFromPoint(box.left + 150, box.top + y)?.closest("li.message");
    if (row) return [row.dataset.key, row.getBoundingClientRect().top];
  }
  return null;
});
const placeOf = (page, key) => page.evaluate((k) => document.querySelector(`[data-key="${k}"]`)?.getBoundingClientRect().top, key);
// How many pixels are below the view.
const fromEnd = (page) => page.evaluate(() => { const s = document.getElementById("scroll"); return s.scrollHeight - s.scrollTop - s.clientHeight; });
const rowsInPage = (page) => page.locator("#messages > li").count();

test("5: the history comes 40 at a time, and the row that is read does not move by more than 1 px", async (t) => {
  const node = await startMagpie(t);
  await node.publishAll("m", 400);
  const asked = [];
  const { page } = await open(t, browser, "about:blank");
  page.on("request", (r) => { if (r.url().includes("/history/chat")) asked.push(new URL(r.url()).searchParams.get("limit")); });
  await page.goto(`${node.url}/r/lobby`);
  await page.getByText("m399", { exact: true }).waitFor();
  assert.ok((await rowsInPage(page)) <= 81); // one page or two, and the day
  assert.equal(Math.round(await fromEnd(page)), 0);
  for (let i = 0; i < 12; i++) {
    await page.evaluate(() => { document.getElementById("scroll").scrollTop -= 350; });
    const [key, top] = await place(page);
    const before = asked.length;
    await page.waitForTimeout(120); // what comes in meanwhile must not move it
    if (asked.length > before) await page.waitForLoadState("networkidle");
    assert.ok(Math.abs((await placeOf(page, key)) - top) <= 1, `round ${i}: moved by ${(await placeOf(page, key)) - top} px`);
  }
  assert.ok(asked.length > 2);
  assert.deepEqual([...new Set(asked)], ["40"]);
});

// What the reader does at the top of what is loaded; older messages come later.
const waysUp = {
  Home: (page) => page.locator("#scroll").press("Home"),
  "a flick": async (page) => {
    const touch = await page.context().newCDPSession(page);
    await touch.send("Emulation.setTouchEmulationEnabled", { enabled: true });
    const { x, y } = await page.locator("#scroll").boundingBox();
    const at = (dy) => [{ x: x + 200, y: y + 60 + dy }];
    await until("the top", async () => {
      await touch.send("Input.dispatchTouchEvent", { type: "touchStart", touchPoints: at(0) });
      for (let dy = 50; dy <= 400; dy += 50) await touch.send("Input.dispatchTouchEvent", { type: "touchMove", touchPoints: at(dy) });
      await touch.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] });
      return page.evaluate(() => document.getElementById("scroll").scrollTop < 10);
    }, 30_000);
  },
  "the scrollbar, which is not let go": async (page) => {
    const { x, y, width, height } = await page.locator("#scroll").boundingBox();
    const { thumb, at } = await page.evaluate(() => {
      const { clientHeight, scrollHeight, scrollTop } = document.getElementById("scroll");
      return { thumb: (clientHeight / scrollHeight) * clientHeight, at: (scrollTop / scrollHeight) * clientHeight };
    });
    await page.mouse.up(); // of the round before
    await page.mouse.move(x + width - 5, Math.min(y + height - 8, y + at + thumb / 2));
    await page.mouse.down();
    await page.mouse.move(x + width - 5, y - 40, { steps: 20 });
  },
};

for (const [way, goUp] of Object.entries(waysUp)) {
  test(`5: at the top, reached with ${way}, older messages do not move the row in sight by more than 1 px`, async (t) => {
    const node = await startMagpie(t);
    await node.publishAll(`${"words ".repeat(30)}m`, 170); // groups of three cross the pages' edges
    const { page } = await open(t, browser, "about:blank");
    await page.addInitScript(() => { AbortSignal.timeout = () => new AbortController().signal; }); // a page of the log may take long here
    let answer = null;
    await page.route("**/history/chat?*since=*", async (route) => { // the bell reads a channel of its own
      await new Promise((resolve) => { answer = resolve; });
      await route.continue();
    });
    await page.goto(`${node.url}/r/lobby`);
    await online(page);
    await page.getByText("m169").waitFor();
    assert.equal(answer, null, "older messages are asked for before the reader goes up");
    for (let round = 0; round < 3; round++) {
      const first = await page.locator("#messages .message").first().getAttribute("data-key");
      await goUp(page);
      await until("a page is asked for", () => answer !== null);
      await until("the list rests at its top", async () => (await page.evaluate(() => new Promise((resolve) => {
        const { scrollTop } = document.getElementById("scroll");
        setTimeout(() => resolve(scrollTop < 10 && scrollTop === document.getElementById("scroll").scrollTop), 100);
      }))));
      const top = await placeOf(page, first);
      answer();
      answer = null;
      await until("older messages are there", async () => (await page.locator("#messages .message").first().getAttribute("data-key")) !== first);
      assert.ok(Math.abs((await placeOf(page, first)) - top) <= 1, `round ${round}: moved by ${(await placeOf(page, first)) - top} px`);
    }
  });
}

test("5: a list that is not shown asks for no older messages, and is at its end when it is shown", async (t) => {
  const node = await startMagpie(t);
  await node.publishAll("m", 400);
  const { page } = await open(t, browser, "about:blank");
  const asked = [];
  page.on("request", (r) => { if (r.url().includes("/history/chat")) asked.push(r.url()); });
  await page.addInitScript(() => {
    const hidden = new CSSStyleSheet();
    hidden.replaceSync(".timeline { display: none !important; }");
    document.adoptedStyleSheets = [hidden];
  });
  await page.goto(`${node.url}/r/lobby`);
  await online(page);
  await page.locator('#messages li').last().waitFor({ state: "attached" });
  await page.waitForLoadState("networkidle");
  await node.publish('{"content":"follows"}');
  await page.getByText("follows", { exact: true }).waitFor({ state: "attached" });
  assert.equal(asked.filter((url) => url.includes("since=") && url.includes("reverse=")).length, 0, asked.join("\n"));
  await page.evaluate(() => { document.adoptedStyleSheets = []; });
  await until("the newest is in sight", async () => (await fromEnd(page)) < 2);
  await page.getByText("follows", { exact: true }).waitFor();
});

test("6: the list stays at its end while the field for a message grows, line by line", async (t) => {
  const node = await startMagpie(t);
  await node.publishAll("a", 60);
  const { page } = await enter(t, browser, node.url);
  await page.getByText("a59", { exact: true }).waitFor();
  await page.locator("#text").focus();
  for (let i = 0; i < 10; i++) {
    await page.keyboard.press("Shift+Enter");
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
  }
  assert.equal(await page.locator("#latest").count(), 0);
  await node.publish('{"content":"follows"}');
  await page.getByText("follows", { exact: true }).waitFor();
  await until("it is in sight", async () => (await fromEnd(page)) < 2);
});

test("6, X11: a flood does not move who reads; the button counts and jumps", async (t) => {
  const node = await startMagpie(t);
  await node.publishAll("a", 100);
  const { page } = await enter(t, browser, node.url);
  await page.getByText("a99", { exact: true }).waitFor();
  await page.evaluate(() => { document.getElementById("scroll").scrollTop -= 700; });
  await page.locator("#latest").waitFor();
  await page.waitForTimeout(300);
  const [key, top] = await place(page);
  await node.publishAll("b", 500);
  await page.getByRole("button", { name: "99+ new messages" }).waitFor();
  assert.ok(Math.abs((await placeOf(page, key)) - top) <= 1, `moved by ${(await placeOf(page, key)) - top} px`);
  assert.ok((await rowsInPage(page)) <= 300);
  await page.locator("#latest").click();
  await page.getByText("b499", { exact: true }).waitFor();
  assert.equal(await page.locator("#latest").count(), 0);
  await node.publishAll("c", 300);
  await page.getByText("c299", { exact: true }).waitFor();
  assert.ok((await rowsInPage(page)) <= 300);
});

test("6: 100 px from the end still follows; one's own message always does", async (t) => {
  const node = await startMagpie(t);
  await node.publishAll("a", 60);
  const { page } = await enter(t, browser, node.url);
  await page.getByText("a59", { exact: true }).waitFor();
  await page.evaluate(() => { document.getElementById("scroll").scrollTop -= 90; });
  await page.waitForTimeout(100);
  await node.publish('{"content":"follows"}');
  await page.getByText("follows", { exact: true }).waitFor();
  await until("it is in sight", async () => (await fromEnd(page)) < 2);
  await page.evaluate(() => { document.getElementById("scroll").scrollTop -= 600; });
  await page.locator("#latest").waitFor();
  await say(page, "mine");
  await until("my own is in sight", async () => (await fromEnd(page)) < 2);
});

test("6: who scrolls up as a message comes is not taken back, even before the browser has told the page", async (t) => {
  const node = await startMagpie(t);
  await node.publishAll("a", 60);
  const { page } = await enter(t, browser, node.url);
  await page.getByText("a59", { exact: true }).waitFor();
  await until("it is at the end", async () => (await fromEnd(page)) < 2);
  await page.evaluate(() => {
    window.addEventListener("scroll", (e) => { if (!window.told) e.stopImmediatePropagation(); }, true);
    document.getElementById("scroll").scrollTop -= 600;
  });
  const before = await fromEnd(page);
  await node.publish('{"content":"meanwhile"}');
  await until("it is in the list", async () => (await page.getByText("meanwhile", { exact: true }).count()) === 1);
  const after = await fromEnd(page);
  assert.ok(before > 500 && after >= before - 1, `${before} px from the end, then ${after}`);
  await page.evaluate(() => { window.told = true; document.getElementById("scroll").dispatchEvent(new Event("scroll")); });
  await page.locator("#latest").waitFor();
});

test("10: days, groups, and the full time on hover", async (t) => {
  const redis = await startRedis(t);
  const node = await startMagpie(t, { redis });
  for (const text of ["one", "two"]) await node.publish(JSON.stringify({ content: text, name: "ci" }));
  await node.publish('{"content":"three","name":"cd"}');
  const { page } = await enter(t, browser, node.url);
  await shows(page, ["one", "two", "three"]);
  assert.deepEqual(await page.locator(".day").allTextContents(), ["Today"]);
  assert.deepEqual(await page.locator(".author").allTextContents(), ["ci", "cd"]);
  assert.match(await page.locator(".message time").first().getAttribute("title"), new RegExp(String(new Date().getFullYear())));
});

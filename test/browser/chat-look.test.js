// How the app stands on small screens, in both themes and languages, for those
// who use the keyboard and for those who hear it.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { enter, hide, online, say, shows } from "./support/app.js";
import { launch, open } from "./support/browser.js";
import { startMagpie } from "./support/magpie.js";
import { until } from "./support/process.js";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

const findings = async (page) => {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  return violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.target.join(" ")} ${n.any.map((a) => a.message).join()}`).join(", ")}`);
};
const spill = (page) => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

const open_ = {
  settings: (page) => page.locator(".self, .head-menu").locator("visible=true").first().click(),
  help: async (page) => { await page.locator("#text").fill(""); await page.press("#text", "?"); },
  switch: (page) => page.keyboard.press("Control+k"),
  bell: (page) => page.click("#bell"),
};

for (const colorScheme of ["light", "dark"]) {
  test(`14: axe finds nothing, ${colorScheme}`, async (t) => {
    const node = await startMagpie(t);
    for (const locale of ["en-GB", "zh-CN"]) {
      const { page } = await enter(t, browser, node.url, { colorScheme, locale });
      assert.deepEqual(await findings(page), [], `${locale}, as opened`);
      await node.publish('{"content":"hello **you** `code` https://example.org","name":"Ada"}');
      await node.publish('{"order":7}');
      await say(page, "mine");
      await page.locator(".message.own").first().waitFor();
      await page.locator(".message.own").first().hover();
      await page.getByRole("button", { name: /👍/ }).first().click();
      await page.locator(".reaction").first().waitFor();
      assert.deepEqual(await findings(page), [], `${locale}, with messages`);
      for (const [name, act] of Object.entries(open_)) {
        await act(page);
        await page.locator("dialog[open]").waitFor({ timeout: 20_000 }).catch(() => assert.fail(`${locale}: no window for ${name}`));
        assert.deepEqual(await findings(page), [], `${locale}, ${name}`);
        await page.keyboard.press("Escape");
        await page.locator("dialog[open]").waitFor({ state: "detached" });
      }
      await page.setViewportSize({ width: 320, height: 600 });
      assert.deepEqual(await findings(page), [], `${locale}, narrow`);
      await page.locator(".head-menu").click();
      await page.locator("dialog[open]").waitFor();
      assert.deepEqual(await findings(page), [], `${locale}, rooms on a small screen`);
    }
    const { page } = await open(t, browser, `${node.url}/classic`, { colorScheme });
    await page.locator("#send:enabled").waitFor();
    assert.deepEqual(await findings(page), [], "classic");
  });
}

test("14: axe finds nothing without a connection, with a failure, and where a token is asked for", async (t) => {
  const node = await startMagpie(t);
  const { page } = await enter(t, browser, node.url);
  await node.end();
  await say(page, "waits");
  await page.locator("#banner.shown").waitFor();
  assert.deepEqual(await findings(page), []);
  const locked = await startMagpie(t, { env: { MAGPIE_TOKEN_SECRET: "a secret of the test that is long enough" } });
  const guest = await open(t, browser, locked.url);
  await guest.page.locator("#token-form").waitFor();
  assert.deepEqual(await findings(guest.page), []);
});

test("14: a theme that was chosen stands against the system's, also after a reload", async (t) => {
  const node = await startMagpie(t);
  const { page } = await enter(t, browser, node.url, { colorScheme: "light" });
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await open_.settings(page);
  await page.getByLabel("Dark").check();
  await until("it is dark", async () => (await ground()) !== light);
  await page.reload();
  await online(page);
  assert.notEqual(await ground(), light);
});

test("14: 320 pixels are enough, in both languages, whatever is said", async (t) => {
  const node = await startMagpie(t);
  await node.publish(JSON.stringify({ content: "x".repeat(500), name: "n".repeat(40) }));
  await node.publish(JSON.stringify({ content: `\`\`\`\n${"long ".repeat(100)}\n\`\`\`` }));
  await node.publish(JSON.stringify({ data: "y".repeat(400) }));
  for (const locale of ["en-GB", "zh-CN"]) {
    for (const path of ["/", "/classic"]) {
      const { page } = await open(t, browser, node.url + path, { locale, viewport: { width: 320, height: 568 }, hasTouch: true, isMobile: true });
      await page.locator("#messages").waitFor({ state: "attached" });
      if (path === "/") await page.locator("pre").first().waitFor();
      assert.equal(await spill(page), 0, `${path} ${locale}`);
    }
  }
});

test("13: every word follows the language, and the choice is kept", async (t) => {
  const node = await startMagpie(t);
  await node.publish('{"content":"hi","name":"Ada"}');
  const { page, problems } = await enter(t, browser, node.url, { locale: "zh-CN" });
  assert.equal(await page.locator("html").getAttribute("lang"), "zh-CN");
  assert.equal(await page.locator("#text").getAttribute("placeholder"), "发消息到 #lobby");
  const words = () => page.evaluate(() => {
    const shown = document.querySelector("dialog[open]")?.innerText ?? document.body.innerText;
    const spoken = [...document.querySelectorAll("[aria-label],[title],[placeholder]")].map((e) => `${e.ariaLabel ?? ""} ${e.title} ${e.placeholder ?? ""}`).join(" ");
    return shown + spoken;
  });
  const english = /\b(Message|Send|People|Publish|Copy|Rooms?|Settings|Guest|Today|Notifications|Theme|Language|Connected|Skip|you)\b/;
  assert.doesNotMatch(await words(), english);
  for (const act of [open_.settings, open_.help, open_.switch, open_.bell]) {
    await act(page);
    await page.locator("dialog[open]").waitFor();
    assert.doesNotMatch(await words(), english);
    await page.keyboard.press("Escape");
    await page.locator("dialog[open]").waitFor({ state: "detached" });
  }
  await open_.settings(page);
  await page.getByLabel("English").check();
  await page.getByText("Your name").waitFor();
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("html").getAttribute("lang"), "en");
  const chinese = (await words()).match(/[\u4e00-\u9fff]+/g);
  assert.equal(chinese, null, `left in Chinese: ${chinese}`);
  await page.reload();
  await online(page);
  assert.equal(await page.locator("html").getAttribute("lang"), "en");
  assert.deepEqual(problems, []);
});

test("a window that follows another at once opens", async (t) => {
  const node = await startMagpie(t);
  const { page } = await enter(t, browser, node.url);
  for (let i = 0; i < 10; i++) {
    await open_.help(page);
    await page.locator("dialog[open]").waitFor();
    await page.evaluate(() => { // in one task: the first one's close event is still to come
      document.querySelector("dialog[open]").close();
      document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "k", ctrlKey: true, bubbles: true }));
    });
    await page.locator("dialog.switcher[open]").waitFor({ timeout: 10_000 });
    await page.keyboard.press("Escape");
    await page.locator("dialog[open]").waitFor({ state: "detached" });
  }
});

test("12: Enter in an input method's composition never sends; Shift+Enter is a line; the field grows to 8 lines", async (t) => {
  const node = await startMagpie(t);
  const { page, context } = await enter(t, browser, node.url);
  await page.focus("#text");
  const devtools = await context.newCDPSession(page);
  await devtools.send("Input.imeSetComposition", { text: "ni hao", selectionStart: 6, selectionEnd: 6 });
  await page.evaluate(() => {
    const field = document.getElementById("text");
    field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", isComposing: true, bubbles: true, cancelable: true }));
    field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", keyCode: 229, bubbles: true, cancelable: true })); // Safari's order
  });
  await devtools.send("Input.insertText", { text: "你好" });
  assert.equal(await page.inputValue("#text"), "你好");
  assert.equal(await page.locator(".message").count(), 0);
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("second line");
  const height = () => page.evaluate(() => document.getElementById("text").clientHeight);
  const two = await height();
  for (let i = 0; i < 20; i++) await page.keyboard.press("Shift+Enter");
  const many = await height();
  assert.ok(many > two && many < 8.9 * 22.5 + 24, `${two} then ${many} px`);
  await page.keyboard.press("Enter");
  await shows(page, ["你好\nsecond line"]);
  assert.ok((await height()) < two);
});

test("12: a draft for each room, also after a reload", async (t) => {
  const node = await startMagpie(t);
  const { page } = await enter(t, browser, node.url);
  await page.fill("#text", "for the lobby");
  await page.fill("#add-room", "ops");
  await page.press("#add-room", "Enter");
  await page.locator("h1", { hasText: "ops" }).waitFor();
  assert.equal(await page.inputValue("#text"), "");
  await page.fill("#text", "for ops");
  await page.reload();
  await online(page);
  assert.equal(await page.inputValue("#text"), "for ops");
  await page.keyboard.press("Alt+ArrowUp");
  await page.locator("h1", { hasText: "lobby" }).waitFor();
  assert.equal(await page.inputValue("#text"), "for the lobby");
});

test("14: on touch Enter is a new line", async (t) => {
  const node = await startMagpie(t);
  const { page } = await enter(t, browser, node.url, { viewport: { width: 375, height: 700 }, hasTouch: true, isMobile: true });
  await page.tap("#text");
  await page.keyboard.type("one");
  await page.keyboard.press("Enter");
  await page.keyboard.type("two");
  assert.equal(await page.inputValue("#text"), "one\ntwo");
  await page.tap("#send-message");
  await shows(page, ["one\ntwo"]);
});

test("15: the keyboard alone is enough", async (t) => {
  const node = await startMagpie(t);
  const { page } = await enter(t, browser, node.url);
  await page.locator(".skip").focus(); // the first thing that Tab reaches
  await page.keyboard.press("Enter");
  await page.keyboard.type("by keyboard");
  await page.keyboard.press("Enter");
  await shows(page, ["by keyboard"]);
  await page.keyboard.press("Control+k");
  await page.locator("dialog[open]").waitFor();
  await page.keyboard.type("ops");
  await page.keyboard.press("Enter");
  await page.locator("h1", { hasText: "ops" }).waitFor();
  await page.keyboard.press("Alt+ArrowDown");
  await page.locator("h1", { hasText: "lobby" }).waitFor();
  await page.keyboard.press("Alt+ArrowUp");
  await page.locator("h1", { hasText: "ops" }).waitFor();
  await page.keyboard.press("Alt+ArrowUp");
  await page.locator("h1", { hasText: "lobby" }).waitFor();
  await page.keyboard.press("?");
  await page.getByText("Keyboard shortcuts").first().waitFor();
  await page.keyboard.press("Escape");
  // A message's own buttons: to the row, into it, and along the rows.
  await page.locator(".message").last().focus();
  await page.getByRole("group", { name: "Actions" }).waitFor();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.locator(".reaction").waitFor();
  const reached = new Set();
  for (let i = 0; i < 45; i++) {
    await page.keyboard.press("Tab");
    reached.add(await page.evaluate(() => document.activeElement.id || document.activeElement.getAttribute("aria-label") || document.activeElement.textContent.trim()));
  }
  for (const name of ["scroll", "text", "name", "bell", "people-count", "add-room", "Copy the curl command", "Go to a room"]) {
    assert.ok(reached.has(name), `${name} is out of reach; reached ${[...reached]}`);
  }
});

test("15: a window that closes takes the focus from nothing that was reached since", async (t) => {
  const node = await startMagpie(t);
  const { page } = await enter(t, browser, node.url);
  await say(page, "a row");
  await shows(page, ["a row"]);
  // A browser tells of the close some moments after it gave the focus back.
  await page.evaluate(() => addEventListener("close", (e) => {
    if (e.target.tagName !== "DIALOG" || window.tell) return;
    e.stopImmediatePropagation();
    window.tell = () => e.target.dispatchEvent(new Event("close"));
  }, true));
  const close = async () => {
    await page.keyboard.press("Control+k");
    await page.locator("dialog[open]").waitFor();
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => window.tell);
  };
  const tell = () => page.evaluate(() => { window.tell(); delete window.tell; });
  await close();
  await page.locator(".message").last().focus();
  await tell();
  await page.locator("dialog").waitFor({ state: "detached" });
  assert.ok(await page.evaluate(() => document.activeElement.matches(".message")));
  // Who has not moved is taken from the place before the window to the composer.
  await page.locator("#scroll").focus();
  await close();
  await tell();
  await page.locator("#text:focus").waitFor();
});

test("15: screen readers hear what others say, not the history and not one's own; a burst is a number", async (t) => {
  const node = await startMagpie(t);
  await node.publish('{"content":"old","name":"Ada"}');
  const { page } = await enter(t, browser, node.url);
  await shows(page, ["old"]);
  await say(page, "mine");
  await shows(page, ["old", "mine"]);
  await node.publish('{"content":"new","name":"Ada"}');
  await page.waitForFunction(() => document.getElementById("announcer").textContent !== "");
  assert.equal(await page.locator("#announcer").textContent(), "Ada: new");
  for (let i = 0; i < 10; i++) await node.publish(`{"content":"${i}","name":"Ada"}`);
  await until("a number", async () => /^\d+ new messages$/.test(await page.locator("#announcer").textContent()));
  assert.equal(await page.locator('[role="log"]').getAttribute("aria-live"), "off");
  assert.equal(await page.locator("#banner").getAttribute("role"), "status");
});

test("18: an empty room says what to do, with three ways to publish; a history that fails can be tried again", async (t) => {
  const node = await startMagpie(t);
  const { page } = await enter(t, browser, node.url, { viewport: { width: 800, height: 900 } });
  await page.getByText("Nothing has been said here yet.").waitFor();
  assert.deepEqual(await page.locator("#empty .example h3").allTextContents(), ["curl", "JavaScript"]);
  await node.publish('{"content":"first"}');
  await shows(page, ["first"]);
  assert.equal(await page.locator("#empty").count(), 0);
  const other = await open(t, browser, "about:blank", { serviceWorkers: "block" });
  await other.page.route(/history.chat/, (route) => route.fulfill({ status: 503, body: "{}" }));
  await other.page.goto(node.url);
  await other.page.getByText("could not be loaded").waitFor();
  await other.page.unroute(/history.chat/);
  // The page tries by itself, too, and may be quicker.
  await other.page.getByRole("button", { name: "Try again" }).click({ timeout: 2_000 }).catch(() => {});
  await shows(other.page, ["first"]);
});

test("11: what can be marked up is, and every kind of payload is text", async (t) => {
  const node = await startMagpie(t);
  const { page } = await enter(t, browser, node.url);
  await node.publish("plain words");
  await node.publish('{"order":7}');
  await node.publish(new Uint8Array([0xff, 0xfe, 0x00]));
  await say(page, "**bold** and *italic* and `code`\n```\nblock\n```\nhttps://example.org/x.");
  const wanted = ["plain words", '{"order":7}', "Binary, 3 bytes", "bold and italic and codeblockhttps://example.org/x."];
  await shows(page, wanted);
  await page.reload();
  await shows(page, wanted);
  const last = page.locator(".message .text").last();
  for (const [tag, text] of [["strong", "bold"], ["em", "italic"], ["code", "code"], ["pre", "block"], ["a", "https://example.org/x"]]) {
    assert.equal(await last.locator(tag).first().textContent(), text);
  }
  assert.equal(await last.locator("a").getAttribute("rel"), "noopener noreferrer nofollow ugc");
});

test("8: a message that is too long is told before it is sent", async (t) => {
  const node = await startMagpie(t);
  const { page } = await enter(t, browser, node.url);
  await page.fill("#text", "long ".repeat(20_000));
  await page.getByText(/characters too long/).waitFor();
  await page.press("#text", "Enter");
  assert.equal(await page.locator(".message").count(), 0);
  await say(page, "short");
  await shows(page, ["short"]);
});

test("16: a notification when the tab is hidden, asked for after a click, by one tab of all", async (t) => {
  const node = await startMagpie(t);
  const { page, context } = await enter(t, browser, node.url);
  await context.grantPermissions(["notifications"], { origin: node.url });
  const second = await context.newPage();
  await second.goto(node.url);
  await online(second);
  for (const p of [page, second]) {
    await p.evaluate(() => {
      window.notified = [];
      window.Notification = class { static permission = "granted"; static requestPermission = async () => "granted"; constructor(title, o) { window.notified.push([title, o.body]); } close() {} };
    });
  }
  const told = async () => [...await page.evaluate(() => window.notified), ...await second.evaluate(() => window.notified)];
  for (const p of [page, second]) {
    await open_.settings(p);
    await p.getByLabel("Notify me when this tab is hidden").check();
    await p.keyboard.press("Escape");
  }
  await node.publish('{"content":"in sight","name":"Ada"}');
  await shows(second, ["in sight"]);
  assert.deepEqual(await told(), []);
  const heard = page.evaluate(() => new Promise((resolve) => {
    new BroadcastChannel("magpie-sight").onmessage = (e) => { if (!e.data.visible) resolve(); };
  }));
  await hide(page);
  await hide(second);
  await heard; // the tabs tell each other
  await node.publish('{"content":"<b>unseen</b>","name":"Ada"}');
  await until("one is told", async () => (await told()).length > 0);
  await shows(second, ["in sight", "<b>unseen</b>"]);
  assert.deepEqual(await told(), [["Ada in #lobby", "<b>unseen</b>"]]);
});

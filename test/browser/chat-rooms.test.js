// The chat app: rooms, names, presence, typing, unread, changes.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { enter, hide, online, people, rename, said, say, shows } from "./support/app.js";
import { launch, open } from "./support/browser.js";
import { startMagpie } from "./support/magpie.js";
import { until } from "./support/process.js";
import { startRedis } from "./support/redis.js";
import { secret, sign } from "./support/token.js";

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

test("1: a room is made by typing its name, and its address opens it in a second browser", async (t) => {
  const node = await startMagpie(t);
  const ann = await enter(t, browser, node.url);
  await ann.page.fill("#add-room", "Plans for May");
  await ann.page.press("#add-room", "Enter");
  await ann.page.locator("h1", { hasText: "plans-for-may" }).waitFor();
  assert.equal(new URL(ann.page.url()).pathname, "/r/plans-for-may");
  await say(ann.page, "in here");
  const bob = await open(t, browser, ann.page.url());
  await shows(bob.page, ["in here"]);
  await ann.page.goBack();
  await ann.page.locator("h1", { hasText: "lobby" }).waitFor();
  await shows(ann.page, []);
  await ann.page.reload();
  await ann.page.locator(".room-link", { hasText: "plans-for-may" }).waitFor(); // it is kept
  await ann.page.locator(".room-item", { hasText: "plans-for-may" }).getByRole("button").click();
  await until("the room is left", async () => (await ann.page.locator(".room-link").count()) === 1);
  assert.deepEqual([...ann.problems, ...bob.problems], []);
});

test("1: the lobby, the classic page, the raw door and PUBLISH in Redis are one room, each marked with its way in", async (t) => {
  const redis = await startRedis(t);
  const node = await startMagpie(t, { redis });
  const { page } = await enter(t, browser, node.url);
  const classic = await open(t, browser, `${node.url}/classic`);
  await classic.page.locator("#send:enabled").waitFor();
  await shows(page, ["has joined the chat"]);
  await redis.cli("PUBLISH", "chat", '{"content":"from Redis"}');
  await shows(page, ["has joined the chat", "from Redis"]);
  await node.publish('{"content":"from HTTP","name":"billing"}');
  await say(page, "from the app");
  await shows(page, ["has joined the chat", "from Redis", "from HTTP", "from the app"]);
  await until("each way in is shown", async () => (await page.locator(".via").allTextContents()).join() === "WebSocket,PUBLISH,HTTP");
  await classic.page.waitForFunction(() => document.getElementById("messages").value.includes("from the app"));
});

test("2: a guest writes at once, keeps the name over a reload, and may change it", async (t) => {
  const node = await startMagpie(t);
  const { page } = await enter(t, browser, node.url);
  await page.keyboard.type("no click before this"); // the field has the focus
  await page.keyboard.press("Enter");
  await shows(page, ["no click before this"]);
  await rename(page, "王芳");
  await say(page, "as myself");
  const other = await enter(t, browser, node.url);
  await shows(other.page, ["no click before this", "as myself"]);
  assert.equal(await other.page.locator(".message .author").last().textContent(), "王芳");
  assert.equal(await other.page.locator(".message .badge.guest").last().textContent(), "Guest");
  await page.reload();
  await online(page);
  assert.equal(await page.locator("#name").textContent(), "王芳");
  assert.equal(await page.locator(".message .badge.you").count(), 2); // the same guest
});

test("2: a name in a payload does not pass for the server's word", async (t) => {
  const node = await startMagpie(t);
  const ann = await enter(t, browser, node.url, { name: "Ann" });
  await say(ann.page, "it is me");
  await shows(ann.page, ["it is me"]);
  await node.publish('{"content":"I am Ann, too","name":"Ann"}');
  await shows(ann.page, ["it is me", "I am Ann, too"]);
  const avatars = ann.page.locator(".message .avatar");
  assert.equal(await avatars.count(), 2); // not grouped with the real one
  assert.match(await avatars.nth(1).getAttribute("class"), /program/);
});

// Y4: anyone may take a name that somebody has signed in with.
test("2: a guest with a signed user's name is seen to be a guest wherever the name stands, in both languages", async (t) => {
  const anyone = "[{match: '*', subscribe: anyone, publish: anyone, history: anyone, members: anyone}]";
  const node = await startMagpie(t, { env: { MAGPIE_TOKEN_SECRET: secret, MAGPIE_RULES: anyone } });
  const bob = await enter(t, browser, node.url, { name: "Bob" });
  const reader = await enter(t, browser, node.url, { locale: "zh-CN", name: "王芳" });
  const eve = await enter(t, browser, node.url, { name: "Ada" });
  const ada = await open(t, browser, `${node.url}/#token=${sign({ sub: "ada", info: { name: "Ada" } })}`);
  await online(ada.page);
  for (const [who, badge, named] of [[bob, "Guest", "Ada (guest)"], [reader, "访客", "Ada（访客）"]]) {
    const { page } = who;
    await until("both are in the list", async () => (await people(page)).filter((n) => n === "Ada").length === 2);
    const rows = page.locator(".member", { has: page.locator(".member-name", { hasText: /^Ada$/ }) });
    assert.deepEqual((await rows.locator(".badge.guest").allTextContents()), [badge], "one of the two is marked");
    await eve.page.locator("#text").pressSequentially("pay me", { delay: 20 });
    await page.locator(".typing-line", { hasText: named }).waitFor();
    await eve.page.press("#text", "Enter");
    const message = page.locator(".message", { hasText: "pay me" }).last();
    await message.waitFor();
    const heads = await page.locator(".message.head").evaluateAll((list) => list.map((head) => head.querySelector(".badge.guest")?.textContent));
    assert.deepEqual([...new Set(heads)], [badge], "every head is marked; there are only hers"); // one or two: a note may part her messages
    await page.locator("[aria-live]", { hasText: `${named}` }).first().waitFor({ state: "attached" }); // what screen readers are told
    await message.hover();
    await page.getByRole("button", { name: badge === "Guest" ? "Reply" : "回复" }).click();
    await page.locator(".replying", { hasText: named }).waitFor();
  }
  await say(bob.page, "no");
  await reader.page.locator(".answered-author", { hasText: "Ada（访客）" }).waitFor();
  await say(ada.page, "that was not me");
  const real = bob.page.locator(".message", { hasText: "that was not me" });
  await real.waitFor();
  assert.deepEqual([await real.locator(".badge.guest").count(), await real.locator(".badge.verified").count()], [0, 1]);
});

test("3: one entry for a person with two tabs on two nodes; gone within 5 s after kill -9", async (t) => {
  const redis = await startRedis(t);
  const [one, two] = await Promise.all([startMagpie(t, { redis }), startMagpie(t, { redis })]);
  const ann = await enter(t, browser, one.url, { name: "Ann" });
  const bob = await enter(t, browser, two.url, { name: "Bob" });
  const second = await bob.context.newPage();
  await second.goto(`${two.url}/r/lobby`);
  await online(second);
  await until("both are there once", async () => (await people(ann.page)).sort().join() === "Ann,Bob");
  await until("Bob's two tabs are one entry", async () => (await ann.page.locator(".member-screens").allTextContents()).join() === "×2");
  await two.end("SIGKILL");
  await until("Bob is gone", async () => (await people(ann.page)).join() === "Ann", 30_000);
});

test("4: typing shows to others, ends by itself, is said at most every 3 s", async (t) => {
  const redis = await startRedis(t);
  const node = await startMagpie(t, { redis });
  const ann = await enter(t, browser, node.url, { name: "Ann" });
  const bob = await enter(t, browser, node.url, { name: "Bob" });
  const said = []; // when, in seconds
  const devtools = await ann.context.newCDPSession(ann.page);
  await devtools.send("Network.enable");
  devtools.on("Network.webSocketFrameSent", ({ response, timestamp }) => { if (response.payloadData.includes('"typing"')) said.push(timestamp); });
  await ann.page.locator("#text").pressSequentially("a long sentence ", { delay: 100 });
  await bob.page.getByText("Ann (guest) is typing…").waitFor();
  assert.equal(await ann.page.getByText("is typing").count(), 0);
  await bob.page.getByText("Ann (guest) is typing…").waitFor({ state: "detached", timeout: 20_000 });
  // On a busy machine sixteen keys take longer than 3 s.
  assert.ok(said.length >= 1 && said.every((at, i) => i === 0 || at - said[i - 1] > 2.9), `said at ${said}`);
  await say(ann.page, "done");
  await shows(bob.page, ["done"]);
});

test("6: unread in the other room and in the title; the divider stands before the first; Esc takes it", async (t) => {
  const node = await startMagpie(t);
  const { page } = await enter(t, browser, node.url);
  await page.fill("#add-room", "ops");
  await page.press("#add-room", "Enter");
  await page.locator("h1", { hasText: "ops" }).waitFor();
  await node.publish('{"content":"one"}');
  await node.publish('{"content":"two"}');
  await page.locator('.room-link:has-text("lobby") .count').waitFor();
  await until("the title counts", async () => (await page.title()) === "(2) #ops · Magpie");
  await page.locator(".room-link", { hasText: "lobby" }).click();
  await shows(page, ["one", "two"]);
  const rows = await page.locator("#messages > li").evaluateAll((all) => all.map((li) => li.className.split(" ")[0]));
  assert.deepEqual(rows, ["day", "unread-divider", "message", "message"]);
  await until("all is read", async () => (await page.title()) === "#lobby · Magpie");
  await page.keyboard.press("Escape");
  await until("the divider is gone", async () => (await page.locator(".unread-divider").count()) === 0);
});

test("6: what comes while the tab is hidden stands behind the divider; what comes in sight needs none", async (t) => {
  const node = await startMagpie(t);
  const { page } = await enter(t, browser, node.url);
  await node.publish('{"content":"seen"}');
  await shows(page, ["seen"]);
  assert.equal(await page.locator(".unread-divider").count(), 0);
  await hide(page);
  await node.publish('{"content":"unseen"}');
  await until("the title counts", async () => (await page.title()) === "(1) #lobby · Magpie");
  await hide(page, false);
  await page.locator(".unread-divider").waitFor();
  await until("it is read now", async () => (await page.title()) === "#lobby · Magpie");
});

test("a message is edited, deleted and reacted to by its author, and by nobody else", async (t) => {
  const node = await startMagpie(t);
  const ann = await enter(t, browser, node.url, { name: "Ann" });
  const bob = await enter(t, browser, node.url, { name: "Bob" });
  await say(ann.page, "frist");
  await shows(bob.page, ["frist"]);
  await bob.page.locator(".message").hover();
  await bob.page.getByRole("button", { name: "React with 👍" }).click();
  await ann.page.getByRole("button", { name: "👍 1 reaction" }).waitFor();
  assert.equal(await bob.page.getByRole("button", { name: "Edit" }).count(), 0);
  await ann.page.focus("#text");
  await ann.page.keyboard.press("ArrowUp");
  await ann.page.locator(".editor textarea").fill("first");
  await ann.page.keyboard.press("Enter");
  await shows(bob.page, ["first"]);
  await bob.page.getByText("(edited)").waitFor();
  await bob.page.getByRole("button", { name: "Reply" }).click();
  await say(bob.page, "an answer");
  await ann.page.locator(".answered", { hasText: "first" }).waitFor();
  const [{ epoch, offset }] = [await node.publish('{"type":"delete","of":"nonsense"}')];
  await node.publish(JSON.stringify({ type: "edit", of: `${epoch}.1`, content: "forged", name: "Ann" }));
  assert.ok(offset > 0);
  await ann.page.locator(".message").first().hover();
  await ann.page.getByRole("button", { name: "Delete" }).click();
  await ann.page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await bob.page.getByText("This message was deleted.").first().waitFor();
  assert.deepEqual(await said(bob.page), ["an answer"]);
  await bob.page.reload();
  await bob.page.locator("p.deleted").waitFor(); // the history says the same
  assert.deepEqual([...ann.problems, ...bob.problems], []);
});

test("17: comings and goings stand in one line, and are not said by clients", async (t) => {
  const node = await startMagpie(t);
  const ann = await enter(t, browser, node.url, { name: "Ann" });
  await until("Ann is there", async () => (await people(ann.page)).length === 1);
  const others = await Promise.all(["Bo", "Cy", "Di", "Ed"].map((name) => enter(t, browser, node.url, { name })));
  await ann.page.locator(".presence-note", { hasText: /and 2 others joined$/ }).waitFor();
  assert.equal(await ann.page.locator(".presence-note").count(), 1);
  await Promise.all(others.map((o) => o.context.close()));
  await until("they are gone", async () => (await people(ann.page)).join() === "Ann");
  await until("and the line with them", async () => (await ann.page.locator(".presence-note").count()) === 0, 15_000);
});

// Hostile words stay words, wherever they come in and wherever they are shown;
// the policy holds; nobody else is asked.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { enter, online, said, say, shows } from "./support/app.js";
import { launch, open } from "./support/browser.js";
import { startMagpie } from "./support/magpie.js";
import { until } from "./support/process.js";

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

const alarm = "window.alarm=1";
const corpus = [
  `<script>${alarm}</script>`,
  `<img src=x onerror="${alarm}">`,
  `<svg onload=${alarm}>`,
  `<svg><animate onbegin=${alarm} attributeName=x dur=1s>`,
  `<iframe srcdoc="<script>parent.${alarm}</script>">`,
  `<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=${alarm}&gt;">`,
  `"><details open ontoggle=${alarm}>`,
  `</textarea></title></style><script>${alarm}</script>`,
  `<input autofocus onfocus=${alarm}>`,
  `<a href="javascript:${alarm}">click</a>`,
  `javascript:${alarm}`,
  "JaVaScRiPt:alert(1)",
  "java\tscript:alert(1)",
  "java\nscript:alert(1)",
  "&#106avascript:alert(1)",
  "&#x6A&#x61&#x76&#x61&#x73&#x63&#x72&#x69&#x70&#x74:alert(1)",
  "vbscript:msgbox(1)",
  `data:text/html,<script>${alarm}</script>`,
  `https://example.org/" onmouseover="${alarm}`,
  `https://example.org/'><script>${alarm}</script>`,
  `[x](javascript:${alarm})`,
  "![x](https://evil.example/beacon.png)",
  "<base href=//evil.example/><meta http-equiv=refresh content='0;url=//evil.example'>",
  "<form id=messages action=//evil.example><input name=textContent></form>",
  "<style>*{background:url(//evil.example/a)}</style>",
  "<link rel=stylesheet href=//evil.example/a.css>",
  "{{constructor.constructor('window.alarm=1')()}} ${window.alarm=1} <%= 1 %>",
  "jaVasCript:/*-/*`/*\\`/*'/*\"/**/(/* */oNcliCk=window.alarm=1 )//%0D%0A//</stYle/</titLe/</teXtarEa/</scRipt/--!>\\x3csVg/<sVg/oNloAd=window.alarm=1//>\\x3e",
  "\u202Egnirts desrever\u202C end",
  "zalgo ẗ̴̢̛̞̗̪͍́̈́̑͝ê̸x̵t",
  "👩‍👩‍👧‍👦".repeat(20),
  "W".repeat(3_000),
];

const quiet = (page) => page.evaluate(() => window.alarm === undefined && !document.querySelector(
  "#messages script, #messages img, #messages iframe, #messages form, #messages input, #messages style, #messages base, #messages meta, #messages details, #messages math, #messages link, #messages .text svg",
));
const safeLinks = (page) => page.evaluate(() => [...document.querySelectorAll("#messages .text a, #notices a")]
  .every((a) => ["http:", "https:", "mailto:"].includes(a.protocol) && a.rel.includes("noopener") && a.rel.includes("noreferrer") && a.attributes.length <= 3));
const noSpill = (page) => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

// What a mark takes out of the words is not text: compare what is left.
const plain = (text) => text.replace(/[`*_]/g, "");

test("X1, X3, X12: hostile texts and claimed names, live and from the history", async (t) => {
  const node = await startMagpie(t);
  const { page, problems, hosts } = await enter(t, browser, node.url);
  for (const [i, text] of corpus.entries()) await node.publish(JSON.stringify({ content: text, name: `${i} ${text}`.slice(0, 60), id: text.slice(0, 40) }));
  const whole = async () => (await said(page)).map(plain);
  await until("all are there", async () => (await whole()).length === corpus.length);
  assert.deepEqual(await whole(), corpus.map(plain));
  assert.ok(await quiet(page) && await safeLinks(page));
  assert.equal(await noSpill(page), 0);
  await page.reload();
  await until("all are there again", async () => (await whole()).length === corpus.length);
  assert.ok(await quiet(page) && await safeLinks(page));
  const odd = ['{"__proto__":{"alarm":1}}', '{"content":{"toString":1}}', '{"name":"x","constructor":{"prototype":{"alarm":1}}}', '{"type":"edit","of":{"x":1}}', '{"type":"reaction","of":"a.1","emoji":"<img src=x onerror=window.alarm=1>"}'];
  for (const payload of odd) await node.publish(payload);
  await until("what is text is shown", async () => (await whole()).length === corpus.length + 3);
  assert.equal(await page.evaluate(() => ({}).alarm), undefined);
  assert.ok(await quiet(page));
  assert.deepEqual(problems, []);
  assert.deepEqual([...hosts], [new URL(node.url).host]);
});

test("X1: through the composer, as a guest's name, as a room's name, in the address, in drafts and replies", async (t) => {
  const node = await startMagpie(t);
  const nasty = "<img src=x onerror=window.alarm=1>";
  const { page, problems } = await enter(t, browser, node.url, { name: nasty });
  const other = await enter(t, browser, node.url);
  await say(page, nasty);
  await shows(other.page, [nasty]);
  await other.page.locator(".member-name", { hasText: nasty }).waitFor();
  assert.equal(await other.page.locator(".message .author").textContent(), nasty);
  await other.page.locator(".message").hover();
  await other.page.getByRole("button", { name: "Reply" }).click();
  await other.page.locator(".replying", { hasText: nasty }).waitFor();
  await page.fill("#text", nasty);
  await page.reload();
  await online(page);
  assert.equal(await page.inputValue("#text"), nasty);
  for (const p of [page, other.page]) assert.ok(await quiet(p));
  for (const path of [`/r/${encodeURIComponent(nasty)}`, "/r/%3Csvg%20onload=alert(1)%3E", `/?room=${encodeURIComponent(nasty)}#${nasty}`, "/#token=<script>"]) {
    const { page: visited, problems: trouble } = await open(t, browser, node.url + path);
    await visited.locator("#messages, #token-form").first().waitFor({ state: "attached" });
    assert.equal(await visited.evaluate(() => window.alarm), undefined, path);
    assert.equal(await visited.evaluate(() => /onerror|onload/.test(document.title)), false, path);
    assert.deepEqual(trouble.filter((p) => !/40[0-9]/.test(p)), [], path);
  }
  await page.fill("#add-room", nasty);
  await page.press("#add-room", "Enter");
  await page.getByText("A room's name has").waitFor();
  assert.deepEqual([...problems, ...other.problems], []);
});

test("X1: in notices of the bell: titles, texts and links", async (t) => {
  const node = await startMagpie(t);
  const { page, problems } = await enter(t, browser, node.url);
  const user = await page.evaluate(() => JSON.parse(localStorage["magpie.guest"]).user);
  for (const text of corpus.slice(0, 24)) await node.publish(JSON.stringify({ title: text, text, link: text }), `user:${encodeURIComponent(user)}`);
  await page.locator("#bell .bell-count", { hasText: "24" }).waitFor();
  await page.click("#bell");
  await page.locator("#notices li").nth(23).waitFor();
  assert.equal(await page.evaluate(() => document.querySelectorAll("#notices :is(script,img,svg,iframe,form,input,style)").length), 0);
  assert.equal(await page.evaluate(() => window.alarm), undefined);
  assert.ok(await page.evaluate(() => [...document.querySelectorAll("#notices a")].every((a) => /^(https?|mailto):/.test(a.href) && !a.href.includes("evil"))));
  assert.deepEqual(problems, []);
});

test("X4, 19: the policy stops inline code, foreign hosts and markup sinks, and lets the app through", async (t) => {
  const node = await startMagpie(t);
  const { page, hosts, problems } = await enter(t, browser, node.url);
  assert.deepEqual(problems, []);
  assert.deepEqual([...hosts], [new URL(node.url).host]);
  const found = await page.evaluate(async () => {
    const violations = [];
    document.addEventListener("securitypolicyviolation", (e) => violations.push(e.effectiveDirective));
    const refused = [];
    for (const attempt of [
      () => { document.body.insertAdjacentHTML("beforeend", "<b>x</b>"); },
      () => { document.createElement("p").innerHTML = "<b>x</b>"; },
      () => { document.createElement("script").src = "https://evil.example/x.js"; },
      () => { window.trustedTypes.createPolicy("any", {}); },
      () => { window.trustedTypes.createPolicy("magpie", { createScriptURL: (x) => x }); }, // the app's own is taken
      () => { new WebSocket("ws://evil.example/"); },
    ]) {
      try { attempt(); refused.push(false); } catch { refused.push(true); }
    }
    await fetch("https://evil.example/").catch(() => {});
    const style = document.createElement("style");
    style.textContent = "body{color:red}";
    document.head.append(style);
    const image = document.createElement("img");
    image.src = "https://evil.example/beacon.png";
    document.body.append(image);
    await new Promise((resolve) => { image.onerror = resolve; });
    return { refused: refused.slice(0, 5), violations: [...new Set(violations)].sort() };
  });
  assert.deepEqual(found.refused, [true, true, true, true, true]);
  assert.deepEqual(found.violations, ["connect-src", "img-src", "require-trusted-types-for", "style-src-elem", "trusted-types"]);
});

test("X9: a host's token lives in the tab alone; X10: messages of other windows and window.name are ignored", async (t) => {
  const node = await startMagpie(t);
  const { page } = await enter(t, browser, node.url);
  await page.evaluate(() => {
    window.name = '{"token":"x"}';
    window.postMessage({ magpie: 1, type: "token", token: "stolen" }, "*");
  });
  await say(page, "still me");
  await shows(page, ["still me"]);
  assert.equal(await page.locator("#token-form").count(), 0);
});

test("19: it works without the internet, after the first visit even without the server", async (t) => {
  const node = await startMagpie(t);
  const { page, context } = await enter(t, browser, node.url);
  await page.waitForFunction(async () => (await (await caches.open("magpie-1")).keys()).length >= 4);
  await context.setOffline(true);
  await page.reload();
  await page.locator("#text").waitFor();
  await page.getByText("You are offline.").waitFor();
  await say(page, "written on the train");
  await page.locator('.message[data-send-state="waiting"]').waitFor();
  await context.setOffline(false);
  await shows(page, ["written on the train"], 25_000);
});

test("half a character and 9,000 brackets are messages like any other; the next one comes", async (t) => {
  const node = await startMagpie(t);
  const { page, problems } = await enter(t, browser, node.url);
  const other = await enter(t, browser, node.url);
  await page.evaluate(() => {
    const field = document.getElementById("text");
    field.value = "half \ud83d of one";
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
  await page.press("#text", "Enter");
  await page.locator('.message[data-send-state="sent"]', { hasText: "half" }).waitFor();
  await node.publish('{"content":"half \\ud83d of another","name":"\\udc00"}');
  await node.publish(`${"[".repeat(9_000)}${"]".repeat(9_000)}`);
  await node.publish('{"content":"the next one"}');
  for (const p of [page, other.page]) {
    await p.getByText("the next one", { exact: true }).waitFor();
    assert.equal((await said(p)).length, 4);
  }
  await page.reload();
  await online(page);
  await page.getByText("the next one", { exact: true }).waitFor();
  await say(page, "and one more");
  await other.page.getByText("and one more", { exact: true }).waitFor();
  assert.deepEqual([...problems, ...other.problems], []);
});

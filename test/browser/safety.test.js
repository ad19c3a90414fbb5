// Hostile messages stay text, the policy holds, and nobody else is asked.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, open } from "./support/browser.js";
import { startMagpie } from "./support/magpie.js";
import { connected, say, shows } from "./support/room.js";

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

const alarm = "window.alarm=1";
const corpus = [
  `<script>${alarm}</script>`,
  `<img src=x onerror="${alarm}">`,
  `<svg onload=${alarm}>`,
  `<iframe srcdoc="<script>parent.${alarm}</script>">`,
  `<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=${alarm}&gt;">`,
  `"><details open ontoggle=${alarm}>`,
  `</textarea></title></style><script>${alarm}</script>`,
  `javascript:${alarm}`,
  "java\tscript:alert(1)",
  "&#106avascript:alert(1)",
  `<a href="data:text/html,<script>${alarm}</script>">x</a>`,
  "<base href=//evil.example/><meta http-equiv=refresh content='0;url=//evil.example'>",
  "<form id=messages><input name=textContent></form>",
  "<style>*{background:url(//evil.example/a)}</style>",
  "{{constructor.constructor('window.alarm=1')()}} ${window.alarm=1}",
  "\u202Egnirts desrever\u202C \u0007 zalgo ẗ̴̢̛̞̗̪͍́̈́̑͝ê̸x̵t",
  "👩‍👩‍👧‍👦".repeat(20),
  "W".repeat(3_000),
];

const quiet = (page) => page.evaluate(() => window.alarm === undefined && !document.querySelector(
  "#messages script, #messages img, #messages svg, #messages iframe, #messages a, #messages form, #messages style, #messages base, #messages meta, #messages details",
));

test("X1, X3, X12: hostile texts and names show as text, live and from the history", async (t) => {
  const node = await startMagpie(t);
  const { page, problems, hosts } = await open(t, browser, node.url);
  await connected(page);
  for (const text of corpus) await node.publish(JSON.stringify({ content: text, name: text, id: text }));
  await shows(page, corpus);
  assert.ok(await quiet(page));
  assert.deepEqual(await page.locator(".author").allTextContents(), corpus.map((text) => text.slice(0, 80)));
  const width = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.equal(await width(), 0);

  await page.reload();
  await shows(page, corpus);
  assert.ok(await quiet(page));
  for (const raw of ['{"__proto__":{"alarm":1}}', '{"content":{"toString":1}}', '{"name":"x","constructor":{"prototype":1}}']) await node.publish(raw);
  await shows(page, [...corpus, '{"__proto__":{"alarm":1}}', '{"content":{"toString":1}}', '{"name":"x","constructor":{"prototype":1}}']);
  assert.ok(await quiet(page));
  assert.deepEqual(problems, []);
  assert.deepEqual([...hosts], [new URL(node.url).host]);
});

test("X1: the same through the composer and on the classic page", async (t) => {
  const node = await startMagpie(t);
  const classic = await open(t, browser, `${node.url}/classic`);
  const { page, problems } = await open(t, browser, node.url);
  await connected(page);
  await shows(page, ["has joined the chat"]);
  await page.fill("#name", "<img src=x onerror=window.alarm=1>".slice(0, 40));
  await say(page, corpus[1]);
  await shows(page, ["has joined the chat", corpus[1]]);
  assert.ok(await quiet(page));
  assert.equal(await classic.page.evaluate(() => window.alarm), undefined);
  assert.deepEqual([...problems, ...classic.problems], []);
});

test("X4: the policy stops inline code, foreign hosts and markup sinks, and lets the socket through", async (t) => {
  const node = await startMagpie(t);
  const { page } = await open(t, browser, node.url);
  await connected(page); // connect-src 'self' covers ws: of the same host
  const stopped = await page.evaluate(async () => {
    const violations = [];
    document.addEventListener("securitypolicyviolation", (e) => violations.push(e.effectiveDirective));
    const script = document.createElement("script");
    script.src = "https://evil.example/x.js"; // throws: no trusted types policy
    document.head.append(script);
  }).then(() => "ran", (error) => error.message);
  assert.match(stopped, /TrustedScriptURL/);
  const found = await page.evaluate(async () => {
    const violations = [];
    document.addEventListener("securitypolicyviolation", (e) => violations.push(e.effectiveDirective));
    const refused = [];
    for (const attempt of [
      () => { document.body.insertAdjacentHTML("beforeend", "<b>x</b>"); },
      () => { document.createElement("p").innerHTML = "<b>x</b>"; },
      () => { window.trustedTypes.createPolicy("any", {}); },
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
    return { refused: refused.slice(0, 3), violations: [...new Set(violations)].sort() };
  });
  assert.deepEqual(found.refused, [true, true, true]);
  assert.deepEqual(found.violations, ["connect-src", "img-src", "require-trusted-types-for", "style-src-elem", "trusted-types"]);
});

test("a token in the address is taken out of it", async (t) => {
  const node = await startMagpie(t);
  const { page } = await open(t, browser, `${node.url}/#token=secret`);
  await page.locator("#text").waitFor();
  assert.equal(page.url(), `${node.url}/`);
});

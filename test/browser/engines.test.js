// What a page promises in every engine: Chromium, Firefox and WebKit.

import assert from "node:assert/strict";
import { test } from "node:test";
import { blocked, engines } from "./support/engines.js";
import { startMagpie } from "./support/magpie.js";
import { until } from "./support/process.js";
import { startProxy } from "./support/proxy.js";
import { embedded, foreign } from "./support/sites.js";

const patience = 40_000; // milliseconds; the machine may be busy

const online = (page) => until("the page is connected", () => page.run(() => !!document.querySelector('#line[data-line="online"]')), patience);
const say = (page, text) => page.type("#text", text);

async function shows(page, wanted) {
  const seen = () => page.run(() => [...document.querySelectorAll('#messages .message[data-send-state="sent"] .text')].map((e) => e.textContent));
  await until("the messages are there", async () => JSON.stringify(await seen()) === JSON.stringify(wanted), patience).catch(() => {});
  assert.deepEqual(await seen(), wanted);
}

// Opens the embedded app on a page of another site, as a reader does.
async function openEmbedded(t, browser, storage) {
  const shop = await foreign(t, "shop.localhost");
  const node = await startMagpie(t, { env: { MAGPIE_ALLOWED_ORIGINS: shop.url } });
  shop.page.html = embedded(node.url, 'data-room="support"');
  const page = await browser.open(shop.url);
  await until("the button is there", () => page.run(() => !!document.querySelector("body > div")?.shadowRoot?.querySelector("button")), patience);
  await page.run(() => document.querySelector("body > div").shadowRoot.querySelector("button").click());
  const frame = page.frame(() => document.querySelector("body > div").shadowRoot.querySelector("iframe"));
  await online(frame);
  return { node, page, frame };
}

const scenarios = [
  {
    promise: "the page connects and sends, and another page shows it",
    async run(t, browser) {
      const node = await startMagpie(t);
      const [ann, bob] = [await browser.open(node.url), await browser.open(node.url)];
      await online(ann);
      await online(bob);
      await say(ann, "hello");
      await shows(bob, ["hello"]);
      await say(bob, "你好");
      await shows(ann, ["hello", "你好"]);
    },
  },
  {
    promise: "what was written without a connection goes out after the first reload, however late the history comes, once and in order",
    async run(t, browser) {
      const node = await startMagpie(t);
      const proxy = await startProxy(t, node.port);
      const page = await browser.open(proxy.url);
      await online(page);
      await say(page, "one");
      await shows(page, ["one"]);
      proxy.cut();
      await until("the page has noticed", () => page.run(() => !document.querySelector('#line[data-line="online"]')), patience);
      await say(page, "three");
      await node.publish('{"content":"two"}');
      proxy.delay("/history", 600);
      proxy.restore();
      await page.goto(proxy.url);
      await online(page);
      await shows(page, ["one", "two", "three"]);
    },
  },
  {
    promise: "embedded on another site it connects and sends, as the browser comes",
    async run(t, browser) {
      const { frame } = await openEmbedded(t, browser);
      await say(frame, "from a frame");
      await shows(frame, ["from a frame"]);
    },
  },
  {
    promise: "embedded where other sites' storage is blocked",
    storage: blocked.otherSites,
    async run(t, browser) {
      const { frame } = await openEmbedded(t, browser);
      await say(frame, "without a cookie");
      await shows(frame, ["without a cookie"]);
    },
  },
  {
    promise: "the page and the embedded app where all storage is blocked",
    storage: blocked.everything,
    unless: { WebKit: "WebKitGTK's MiniBrowser cannot block local storage" },
    async run(t, browser) {
      const { node, frame } = await openEmbedded(t, browser);
      await say(frame, "without storage");
      await shows(frame, ["without storage"]);
      const page = await browser.open(node.url);
      await online(page);
      assert.equal(await page.run(() => { try { return localStorage.length; } catch (e) { return e.name; } }), "SecurityError");
      await say(page, "without storage, too");
      await shows(page, ["without storage, too"]);
    },
  },
  {
    promise: "the bell counts before it is opened",
    async run(t, browser) {
      const node = await startMagpie(t);
      const page = await browser.open(node.url);
      await online(page);
      const user = await page.run(() => JSON.parse(localStorage["magpie.guest"]).user);
      await node.publish('{"title":"Invoice 1042"}', `user:${encodeURIComponent(user)}`);
      await until("the bell counts", async () => await page.run(() => document.querySelector("#bell").ariaLabel ?? document.querySelector("#bell").getAttribute("aria-label")) === "Notifications, 1 unread", patience);
    },
  },
  {
    promise: "too large a frame is seen as 1009, however large it is, and as a clean close",
    async run(t, browser, engine) {
      const node = await startMagpie(t);
      const page = await browser.open(`${node.url}/classic`);
      for (const size of [70_000, 1_200_000, 5_000_000]) {
        const closed = await page.run((bytes) => new Promise((resolve) => {
          const socket = new WebSocket(`ws://${location.host}/websocket?channel=large`);
          socket.onopen = () => socket.send("x".repeat(bytes));
          socket.onclose = ({ code, wasClean }) => resolve({ code, wasClean });
        }), size);
        assert.equal(closed.code, 1009, `${size} bytes`);
        // Chromium also asks that it had handed over all that was to be sent when the close frame came.
        if (engine !== "Chromium") assert.equal(closed.wasClean, true, `${size} bytes`);
      }
    },
  },
  {
    promise: "a node that stops closes cleanly, and says so",
    async run(t, browser) {
      const node = await startMagpie(t);
      const page = await browser.open(`${node.url}/classic`);
      await page.run(() => (window.ends = []) && Promise.all(Array.from({ length: 20 }, () => new Promise((resolve) => {
        const socket = new WebSocket(`ws://${location.host}/websocket?channel=x`);
        socket.onopen = resolve;
        socket.onclose = ({ code, wasClean }) => window.ends.push({ code, wasClean });
      }))).then(() => true));
      await node.end("SIGTERM");
      await until("all are closed", async () => await page.run(() => window.ends.length) === 20);
      assert.deepEqual(await page.run(() => window.ends.filter(({ code, wasClean }) => code !== 4000 || !wasClean)), []);
    },
  },
  {
    promise: "an EventSource of another origin survives a node that restarts, by the lines of docs/doors.md",
    async run(t, browser) {
      const site = await foreign(t, "shop.localhost");
      const flags = { env: { MAGPIE_ALLOWED_ORIGINS: site.url } };
      const node = await startMagpie(t, flags);
      site.page.html = `<!doctype html><title>a page</title><script>
        const heard = [];
        let last = "", es;
        function open() {
          es = new EventSource("${node.url}/sse?channel=news&last_event_id=" + encodeURIComponent(last));
          es.onmessage = (e) => { last = e.lastEventId; heard.push(e.data); };
          es.onerror = () => {
            if (es.readyState === EventSource.CLOSED) setTimeout(open, 200);
          };
        }
        open();
      </script>`;
      const page = await browser.open(site.url);
      await until("it is open", () => page.run(() => es.readyState === EventSource.OPEN));
      await node.publish("before", "news");
      await until("it hears", () => page.run(() => heard.includes("before")));
      await node.end("SIGKILL");
      await until("it has noticed", () => page.run(() => es.readyState !== EventSource.OPEN));
      await new Promise((resolve) => { setTimeout(resolve, 3000); }); // at least one attempt finds nobody
      const again = await startMagpie(t, { ...flags, port: node.port });
      await until("it is open again", () => page.run(() => es.readyState === EventSource.OPEN), patience);
      await again.publish("after", "news");
      await until("it hears again", () => page.run(() => heard.includes("after")));
    },
  },
];

for (const [name, launch] of Object.entries(engines)) {
  test(name, { timeout: 300_000 }, async (t) => {
    let common; // but for WebKit: who types in a tab that another one covers waits for ever
    for (const { promise, storage, unless, run } of scenarios) {
      if (unless?.[name]) continue; // for the reason that stands there
      await t.test(promise, async (t2) => {
        const own = storage !== undefined || name === "WebKit";
        if (!own) common ??= await launch(t);
        await run(t2, own ? await launch(t2, storage) : common, name);
      });
    }
  });
}

// Makes docs/img/room.png, the first page with people and programs talking:
// npm run shot (after make build).

import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { launch, open } from "./support/browser.js";
import { startMagpie } from "./support/magpie.js";
import { freePort } from "./support/process.js";
import { startRedis } from "./support/redis.js";
import { connected, say, shows } from "./support/room.js";

const file = fileURLToPath(new URL("../../docs/img/room.png", import.meta.url));

// What tests give to the helpers: somebody who ends things afterwards.
const ends = [];
const stage = { after: (end) => ends.unshift(end) };

try {
  // The ports that the documentation speaks of, where they are free.
  const redis = await startRedis(stage, { port: await freePort(6379) });
  const node = await startMagpie(stage, { redis, port: await freePort(8080) });
  const browser = await launch();
  stage.after(() => browser.close());
  const look = { colorScheme: "light", viewport: { width: 1280, height: 720 }, deviceScaleFactor: 2 };
  const ada = await open(stage, browser, node.url, look);
  const fang = await open(stage, browser, node.url);
  await Promise.all([connected(ada.page), connected(fang.page)]);
  await ada.page.fill("#name", "Ada");
  await fang.page.fill("#name", "王芳");

  const wanted = [];
  const next = async (text, act) => {
    await act(text);
    wanted.push(text);
    await shows(ada.page, wanted);
    await shows(fang.page, wanted);
  };
  const publish = (text) => redis.cli("PUBLISH", "chat", JSON.stringify({ content: text }));
  const post = (name) => (text) => node.publish(JSON.stringify({ name, content: text }));
  await next("Deployment 214 is live.", publish);
  await next("I see it on all three screens.", (text) => say(ada.page, text));
  await next("Invoice 1042 is paid.", post("billing"));
  await next("喜鹊搭桥，两岸相会。", (text) => say(fang.page, text));
  await next('{"order":7731,"state":"shipped"}', (text) => redis.cli("PUBLISH", "chat", text));
  await next("My phone was in a tunnel. Nothing is missing.", (text) => say(ada.page, text));
  await next("Backup finished in 42 s.", post("nightly"));

  await mkdir(dirname(file), { recursive: true });
  await ada.page.locator("h1").click(); // no focus ring in the picture
  await ada.page.screenshot({ path: file });
  console.log("docs/img/room.png");
} finally {
  for (const end of ends) await end();
}

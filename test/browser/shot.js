// Makes the pictures of the chat app in docs/img, with people and programs
// talking, in both languages and both themes: npm run shot (after make build).

import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { enter, rename, say } from "./support/app.js";
import { launch } from "./support/browser.js";
import { startMagpie } from "./support/magpie.js";
import { freePort } from "./support/process.js";
import { startRedis } from "./support/redis.js";

const file = (name) => fileURLToPath(new URL(`../../docs/img/${name}`, import.meta.url));

// What tests give to the helpers: somebody who ends things afterwards.
const ends = [];
const stage = { after: (end) => ends.unshift(end) };

// Moves the pointer away and takes the picture.
async function shoot(page, name) {
  await page.mouse.move(2, 2);
  await page.waitForTimeout(400);
  await page.screenshot({ path: file(name) });
  console.log(`docs/img/${name}`);
}

try {
  await mkdir(file(""), { recursive: true });
  // The ports that the documentation speaks of, where they are free.
  const redis = await startRedis(stage, { port: await freePort(6379) });
  const node = await startMagpie(stage, { redis, port: await freePort(8080) });
  const browser = await launch();
  stage.after(() => browser.close());
  const wide = { viewport: { width: 1360, height: 800 }, deviceScaleFactor: 2 };
  const ada = await enter(stage, browser, node.url, { ...wide, colorScheme: "light", name: "Ada" });
  const fang = await enter(stage, browser, node.url, { ...wide, colorScheme: "dark", locale: "zh-CN" });
  await rename(fang.page, "王芳");
  const lin = await enter(stage, browser, node.url, { name: "Lin" });
  const publish = (text) => redis.cli("PUBLISH", "chat", typeof text === "string" ? JSON.stringify({ content: text }) : JSON.stringify(text));
  const here = (text) => ada.page.getByText(text, { exact: false }).first().waitFor();
  const steps = [
    [() => publish("Deployment 214 is live."), "Deployment 214"],
    [() => say(ada.page, "I see it on **all three** screens."), "all three"],
    [() => node.publish('{"name":"billing","content":"Invoice 1042 is paid."}'), "Invoice 1042"],
    [() => say(fang.page, "喜鹊搭桥，两岸相会。"), "喜鹊"],
    [() => say(lin.page, "Who runs `redis-cli` there? 看起来很快。"), "Who runs"],
    [() => publish({ order: 7731, state: "shipped" }), "7731"],
    [() => say(ada.page, "Me. My phone was in a tunnel meanwhile, and nothing is missing."), "tunnel"],
    [() => node.publish('{"name":"nightly","content":"Backup finished in 42 s: https://example.org/backups/42"}'), "Backup"],
  ];
  for (const [act, text] of steps) {
    await act();
    await here(text);
  }
  for (const room of ["ops", "design"]) {
    await ada.page.fill("#add-room", room);
    await ada.page.press("#add-room", "Enter");
    await ada.page.locator("h1", { hasText: room }).waitFor();
  }
  await ada.page.locator(".room-link", { hasText: "lobby" }).click();
  await here("Backup");
  await node.publish('{"content":"Disk on db-2 at 81 %","name":"monitor"}', "chat:ops");
  await node.publish('{"content":"Back to 64 %","name":"monitor"}', "chat:ops");
  await lin.page.locator("#text").pressSequentially("one more thing", { delay: 20 });
  await ada.page.locator(".typing-line").waitFor();
  await shoot(ada.page, "room.png");
  await shoot(fang.page, "room-zh-dark.png");

  const user = await ada.page.evaluate(() => JSON.parse(localStorage["magpie.guest"]).user);
  for (const notice of [{ title: "Backup finished", text: "42 GB in 42 s." }, { title: "Invoice 1042", text: "It is paid. Thank you.", link: "/classic" }, { title: "Disk on db-2 at 81 %", priority: "high" }]) {
    await redis.cli("PUBLISH", `user:${user}`, JSON.stringify(notice));
  }
  await ada.page.locator(".bell-count").waitFor();
  await ada.page.click("#bell");
  await ada.page.locator("#notices li").nth(2).waitFor();
  await shoot(ada.page, "bell.png");

  const phone = await enter(stage, browser, node.url, { viewport: { width: 390, height: 760 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true, colorScheme: "dark" });
  await phone.page.getByText("Backup").first().waitFor();
  await shoot(phone.page, "phone.png");
} finally {
  for (const end of ends) await end();
}

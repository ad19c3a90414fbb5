// How fast the app is. Times are told, not judged: a machine that shares its
// processors is slower by itself at times. What is judged does not depend on it:
// what is on the page, and how a step compares with the usual one. These tests
// run alone, after the others.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch, open } from "./support/browser.js";
import { startMagpie } from "./support/magpie.js";
import { tempDir } from "./support/process.js";

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

// The best of three measurements; it has to be within the bound.
async function best(t, measure, bound) {
  let found = Infinity;
  for (let i = 0; i < 3 && found > bound; i++) found = Math.min(found, await measure());
  assert.ok(found <= bound, `${found} at best; ${bound} is the bound`);
  return found;
}

test("5: 10,000 messages scrolled back: all of them, in order, at most 300 rows, each step like the others", async (t) => {
  const node = await startMagpie(t, { flags: ["--config", await config(t, "rules:\n  - match: chat\n    log: { size: 20000, age: 24h }\n")] });
  await node.publishAll("m", 10_000);
  const { page, context } = await open(t, browser, `${node.url}/r/lobby`);
  await page.getByText("m9999", { exact: true }).waitFor();
  const busy = await threadClock(page, context);
  const steps = [];
  let most = 0;
  let lowest = Infinity;
  while (lowest > 0 && steps.length < 2_000) {
    const before = await busy();
    await page.evaluate(scrollUp);
    steps.push((await busy()) - before);
    const rows = await page.evaluate(readRows);
    most = Math.max(most, rows.count);
    lowest = Math.min(lowest, rows.numbers[0]);
    assert.ok(rows.numbers.every((n, i) => i === 0 || n === rows.numbers[i - 1] + 1), "in order, none missing");
  }
  assert.equal(lowest, 0);
  assert.ok(most <= 300, `${most} rows`);
  // The last steps, with 10,000 messages read, cost what the first ones do.
  const longest = Math.max(...steps);
  const late = steps.filter((ms) => ms > 50).length;
  const tenth = Math.floor(steps.length / 10);
  const [first, last] = [median(steps.slice(0, tenth)), median(steps.slice(-tenth))];
  t.diagnostic(`${steps.length} steps, ${late} over 50 ms, the longest ${longest.toFixed(1)} ms; the first ${first.toFixed(1)} ms, the last ${last.toFixed(1)} ms; ${most} rows at most`);
  assert.ok(last <= 4 * Math.max(first, 2), `a step takes ${first} ms at first and ${last} ms at last`);
  await page.evaluate(() => { document.getElementById("scroll").scrollTop = 0; });
  await page.getByText("This is where the room begins.").waitFor();
  await page.getByRole("button", { name: "Latest messages" }).click();
  await page.getByText("m9999", { exact: true }).waitFor();
});

const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];

// One step, with the tasks that follow from it in two frames.
const scrollUp = async () => {
  const box = document.getElementById("scroll");
  box.scrollTop = Math.max(0, box.scrollTop - 1_500);
  for (let i = 0; i < 2; i++) await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 0)));
};

const readRows = () => {
  const rows = [...document.querySelectorAll("#messages > li")];
  return { count: rows.length, numbers: rows.filter((r) => r.matches(".message")).map((r) => Number(r.querySelector(".text").textContent.slice(1))) };
};

// Milliseconds of processor time that the page's tasks have had.
async function threadClock(page, context) {
  const devtools = await context.newCDPSession(page);
  await devtools.send("Performance.enable", { timeDomain: "threadTicks" });
  return async () => {
    const { metrics } = await devtools.send("Performance.getMetrics");
    return metrics.find((m) => m.name === "TaskDuration").value * 1000;
  };
}

test("the first message is on the screen soon; how soon is told", async (t) => {
  const node = await startMagpie(t);
  await node.publishAll("m", 100);
  const took = await best(t, async () => {
    const { page } = await open(t, browser, `${node.url}/classic`); // the browser is warm, the app is not
    const began = Date.now();
    await page.goto(`${node.url}/`);
    await page.locator("#messages .message").first().waitFor();
    const ms = Date.now() - began;
    await page.close();
    return ms;
  }, 5_000);
  t.diagnostic(`first message after ${took} ms`);
});

async function config(t, text) {
  const path = join(await tempDir(t), "magpie.yaml");
  await writeFile(path, text);
  return path;
}

// A real Chromium for the tests, and pages that report what went wrong in them.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { prefer } from "./sites.js";

const flags = [
  "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

/** Starts the browser with a fresh profile. A missing Chromium fails the test. */
export function launch(more = [], options = {}) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: [...flags, ...more],
    ...options,
  });
}

/** Starts the browser with these preferences in a profile of its own, as a reader has set them; it ends with the test. */
export async function launchWith(t, preferences) {
  const profile = await mkdtemp(join(tmpdir(), "magpie-"));
  await prefer(profile, preferences);
  const context = await chromium.launchPersistentContext(profile, { executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args: flags, locale: "en-GB" });
  t.after(async () => {
    await context.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 }); // it may still write when it says that it is closed
  });
  return context;
}

/**
 * Opens a page in a context of its own, as a second person would; it is closed
 * when the test ends. problems
 * collects script errors, refused requests and every console error that is not
 * a lost connection; hosts collects every host that was asked.
 */
export async function open(t, browser, url, options = {}) {
  const context = await browser.newContext({ locale: "en-GB", ...options });
  t.after(() => context.close());
  const page = await context.newPage();
  const problems = [];
  const hosts = new Set();
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (line) => {
    const text = line.text();
    if (line.type() === "error" && !isLostConnection(text)) problems.push(text);
  });
  page.on("request", (request) => hosts.add(new URL(request.url()).host));
  page.on("websocket", (socket) => hosts.add(new URL(socket.url()).host));
  await page.goto(url);
  return { page, context, problems, hosts };
}

// Chromium reports each failed attempt to reach a server that is down; the
// tests take servers down on purpose.
const isLostConnection = (text) => /net::ERR_(CONNECTION|EMPTY|INCOMPLETE|ABORTED)|WebSocket connection to .* failed/.test(text);

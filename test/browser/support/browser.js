// A real Chromium for the tests, and pages that report what went wrong in them.

import { chromium } from "playwright-core";

const flags = [
  "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

/** Starts the browser with a fresh profile. A missing Chromium fails the test. */
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: flags,
  });
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

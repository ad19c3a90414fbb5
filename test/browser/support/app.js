// The chat app as a reader uses it.

import assert from "node:assert/strict";
import { open } from "./browser.js";
import { until } from "./process.js";

/** Opens a room of the app in a browser profile of its own. */
export async function enter(t, browser, url, { room = "lobby", name, ...options } = {}) {
  const opened = await open(t, browser, `${url}/r/${encodeURIComponent(room)}`, options);
  await online(opened.page);
  if (name) await rename(opened.page, name);
  return opened;
}

/** Waits until the page is connected. */
export const online = (page) => page.locator('#line[data-line="online"]').waitFor({ timeout: 40_000 });

/** What stands in the list, in order, without what still waits. */
export const said = (page) => page.locator('#messages .message[data-send-state="sent"] .text').allTextContents();

export async function say(page, text) {
  await page.fill("#text", text);
  await page.press("#text", "Enter");
}

/** Waits for exactly these messages; more, fewer or another order fails. */
export async function shows(page, wanted, milliseconds = 10_000) {
  let seen = [];
  try {
    await until("the messages are there", async () => {
      seen = await said(page);
      return seen.length === wanted.length && seen.every((text, i) => text === wanted[i]);
    }, milliseconds);
  } catch { /* the comparison tells more */ }
  assert.deepEqual(seen, wanted);
}

export async function rename(page, name) {
  await page.locator("#name").click();
  await page.fill("#your-name", name);
  await page.press("#your-name", "Enter");
  await page.locator("#name", { hasText: name }).waitFor();
  await online(page);
}

/** The names of those who are in the room, as the page lists them. */
export const people = (page) => page.locator(".panel .member-name").allTextContents();

/** Makes the page believe that its tab is hidden, or in sight again. */
export const hide = (page, hidden = true) => page.evaluate((h) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => h });
  Object.defineProperty(document, "visibilityState", { configurable: true, get: () => (h ? "hidden" : "visible") });
  document.dispatchEvent(new Event("visibilitychange"));
}, hidden);

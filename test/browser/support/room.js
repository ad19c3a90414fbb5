// The first page as a reader uses it.

import assert from "node:assert/strict";
import { until } from "./process.js";

/** What stands in the list, in order. */
export const texts = (page) => page.locator("#messages .message .text").allTextContents();

/** Waits until the page says that it is connected. */
export const connected = (page) => page.locator('.connection[data-state="open"]').waitFor();

/** Writes a message as a reader would. */
export async function say(page, text) {
  await page.fill("#text", text);
  await page.keyboard.press("Enter");
}

/** Waits for exactly these messages; more, fewer or another order fails. */
export async function shows(page, wanted) {
  let seen = [];
  try {
    await until("the messages are there", async () => (seen = await texts(page)).length >= wanted.length);
  } catch { /* the comparison tells more */ }
  assert.deepEqual(seen, wanted);
}

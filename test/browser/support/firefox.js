// A real Firefox, headless, over WebDriver BiDi. Only what the tests in it need.

import puppeteer from "puppeteer-core";

/** Starts Firefox with a fresh profile. A missing one fails the test. */
export const launchFirefox = (preferences = {}) => puppeteer.launch({
  browser: "firefox",
  executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr",
  headless: true,
  extraPrefsFirefox: { "intl.accept_languages": "en-GB", ...preferences },
});

const patience = 40_000; // milliseconds; the machine may be busy

/** Waits until something of this selector is there, in a page or a frame. */
export const there = (frame, selector) => frame.waitForSelector(selector, { timeout: patience });
export const online = (frame) => there(frame, '#line[data-line="online"]');

/** Writes a message, in a page or a frame. */
export async function say(frame, text) {
  await frame.type("#text", text);
  const field = await frame.$("#text");
  await field.press("Enter");
}

/** Waits for exactly these messages, all of them in the log. */
export const shows = (frame, wanted) => frame.waitForFunction((texts) => {
  const seen = [...document.querySelectorAll('#messages .message[data-send-state="sent"] .text')].map((e) => e.textContent);
  return JSON.stringify(seen) === texts;
}, { timeout: patience }, JSON.stringify(wanted));

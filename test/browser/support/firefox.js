// A real Firefox, headless, over WebDriver BiDi. Only what the tests in it need.

import puppeteer from "puppeteer-core";

/** Starts Firefox with a fresh profile. A missing one fails the test. */
export const launchFirefox = (preferences = {}) => puppeteer.launch({
  browser: "firefox",
  executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr",
  headless: true,
  extraPrefsFirefox: { "intl.accept_languages": "en-GB", ...preferences },
});

// Three engines behind the few words that the tests for all of them need: an
// engine's launch(t, blocked) gives a browser with open(url); a page has goto,
// run(f, ...args), type(selector, text) and frame(find).

import { launch, launchWith } from "./browser.js";
import { launchFirefox } from "./firefox.js";
import { until } from "./process.js";
import { launchWebKit } from "./webdriver.js";

/** What a reader may have forbidden: storage of other sites, or all of it. */
export const blocked = { nothing: 0, otherSites: 1, everything: 2 };

export const engines = {
  Chromium: async (t, what = blocked.nothing) => {
    const preferences = {
      [blocked.otherSites]: { profile: { cookie_controls_mode: 1, block_third_party_cookies: true } },
      [blocked.everything]: { profile: { default_content_setting_values: { cookies: 2 } } },
    }[what];
    if (preferences) return scripted(await launchWith(t, preferences));
    const browser = await launch();
    t.after(() => browser.close());
    return scripted(await browser.newContext({ locale: "en-GB" }));
  },
  Firefox: async (t, what = blocked.nothing) => {
    const browser = await launchFirefox(what ? { "network.cookie.cookieBehavior": what } : {});
    t.after(() => browser.close());
    return scripted(browser);
  },
  // Blocks the storage of other sites as it comes.
  WebKit: (t) => launchWebKit(t),
};

// Pages of Playwright and of Puppeteer, which are alike.
const scripted = (browser) => ({
  async open(url) {
    const page = await browser.newPage();
    await page.goto(url);
    return wrap(page, async () => page);
  },
});

// target is the page or, when it is there, a frame in it.
const wrap = (page, target) => ({
  goto: (url) => page.goto(url),
  run: async (f, ...args) => (await target()).evaluate(`(${f})(...${JSON.stringify(args)})`),
  async type(selector, text) {
    const field = await (await target()).$(selector);
    await field.type(text);
    await field.press("Enter");
  },
  frame: (find) => wrap(page, () => until("the frame is there", async () => {
    const handle = await page.evaluateHandle(`(${find})()`);
    return handle.asElement()?.contentFrame();
  })),
});

// Registers the service worker, so that a reload without a network still shows
// the page. The page's policy allows this one script address.

import { browserClock } from "./client/clock.ts";
import { within } from "./client/deadline.ts";

interface TrustedTypes {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): { createScriptURL(url: string): unknown };
}

const worker = "/sw.js";

const registerTime = 10_000; // milliseconds

/** The page works without the worker: what the browser says to it changes nothing. */
export async function registerWorker(): Promise<void> {
  if (!("serviceWorker" in navigator)) return; // the page is not secure
  await within(browserClock, registerTime, undefined, () => navigator.serviceWorker.register(workerURL(), { scope: "/" }));
}

function workerURL(): string {
  const types = (window as { trustedTypes?: TrustedTypes }).trustedTypes;
  const url = types?.createPolicy("magpie", {
    createScriptURL: (asked) => {
      if (asked !== worker) throw new TypeError("not the address of the worker");
      return asked;
    },
  }).createScriptURL(worker) ?? worker;
  return url as string;
}

// Registers the service worker, so that a reload without a network still shows
// the page. The page's policy allows this one script address.

interface TrustedTypes {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): { createScriptURL(url: string): unknown };
}

const worker = "/sw.js";

export function registerWorker(): void {
  if (!("serviceWorker" in navigator)) return; // the page is not secure
  const types = (window as { trustedTypes?: TrustedTypes }).trustedTypes;
  const url = types?.createPolicy("magpie", {
    createScriptURL: (asked) => {
      if (asked !== worker) throw new TypeError("not the address of the worker");
      return asked;
    },
  }).createScriptURL(worker) ?? worker;
  navigator.serviceWorker.register(url as string, { scope: "/" }).catch(() => { /* the page works without it */ });
}

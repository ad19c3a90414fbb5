// The service worker: caches the page and its assets, so that a reload without a
// network shows the app, which then waits for the server. Messages are not
// cached.
//
// A page comes from the server, or from the cache when the server does not
// answer. An asset under its hash never changes, and comes from the cache first.

interface Extendable { waitUntil(p: Promise<unknown>): void }
interface Fetching extends Extendable { readonly request: Request; respondWith(r: Promise<Response>): void }
interface Worker {
  readonly location: Location;
  skipWaiting(): Promise<void>;
  readonly clients: { claim(): Promise<void> };
  addEventListener(type: "install" | "activate", f: (e: Extendable) => void): void;
  addEventListener(type: "fetch", f: (e: Fetching) => void): void;
}
const worker = globalThis as unknown as Worker;

const cacheName = "magpie-1";
const shell = "/";
const match = { ignoreVary: true } as const; // compressed or not, it is the same file
const timeout = 4_000; // milliseconds until a page comes from the cache

worker.addEventListener("install", (e) => e.waitUntil(worker.skipWaiting()));
worker.addEventListener("activate", (e) => e.waitUntil(worker.clients.claim().then(fillCache)));
worker.addEventListener("fetch", (e) => {
  const { request } = e;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== worker.location.origin) return;
  if (request.mode === "navigate" && (url.pathname === "/" || url.pathname.startsWith("/r/"))) e.respondWith(page(request));
  else if (url.pathname.startsWith("/assets/")) e.respondWith(asset(request));
});

// The first visit was made without this worker, so its files are fetched here.
async function fillCache(): Promise<void> {
  const cache = await caches.open(cacheName);
  await cache.add(new Request(shell, { cache: "no-cache" })).catch(() => {});
  const text = await (await cache.match(shell, match))?.text() ?? "";
  const assets = [...text.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map((m) => m[1]!);
  await Promise.all(assets.map(async (a) => (await cache.match(a, match)) ?? cache.add(a).catch(() => {})));
  await removeOthers(cache, new Set([shell, ...assets]));
}

// Files of older versions are removed.
async function removeOthers(cache: Cache, wanted: ReadonlySet<string>): Promise<void> {
  for (const key of await cache.keys()) if (!wanted.has(new URL(key.url).pathname)) await cache.delete(key);
}

// All rooms have the same page.
async function page(request: Request): Promise<Response> {
  try {
    const response = await fetch(request, { signal: AbortSignal.timeout(timeout) });
    if (response.ok) {
      const cache = await caches.open(cacheName);
      const known = await (await cache.match(shell, match))?.text();
      if (known !== await response.clone().text()) {
        await cache.put(shell, response.clone());
        await fillCache();
      }
    }
    return response;
  } catch {
    return (await caches.match(shell, match)) ?? Response.error();
  }
}

async function asset(request: Request): Promise<Response> {
  return (await caches.match(request, match)) ?? fetch(request);
}

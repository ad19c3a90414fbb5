// The service worker: caches the page and its assets, so that a reload without a
// network shows the app, which then waits for the server. Messages are not
// cached. It also shows notifications where pages may not (Android), and
// brings the reader back to the page.
//
// A page comes from the server, or from the cache when the server does not
// answer. An asset under its hash never changes, and comes from the cache first.

import { browserClock } from "./client/clock.ts";
import { within } from "./client/deadline.ts";

interface Extendable { waitUntil(p: Promise<unknown>): void }
interface Fetching extends Extendable { readonly request: Request; respondWith(r: Promise<Response>): void }
interface Clicked extends Extendable { readonly notification: Notification }
interface Page { focus(): Promise<unknown>; postMessage(message: unknown): void }
interface Worker {
  readonly location: Location;
  skipWaiting(): Promise<void>;
  readonly clients: { claim(): Promise<void>; matchAll(o: { type: "window" }): Promise<Page[]>; openWindow(url: string): Promise<unknown> };
  addEventListener(type: "install" | "activate", f: (e: Extendable) => void): void;
  addEventListener(type: "notificationclick", f: (e: Clicked) => void): void;
  addEventListener(type: "fetch", f: (e: Fetching) => void): void;
}
const worker = globalThis as unknown as Worker;

const cacheName = "magpie-1";
const shell = "/";
const match = { ignoreVary: true } as const; // compressed or not, it is the same file
const timeout = 4_000; // milliseconds until a page comes from the cache
const cacheTime = 2_000; // milliseconds that the cache has to answer

worker.addEventListener("install", (e) => e.waitUntil(worker.skipWaiting()));
worker.addEventListener("activate", (e) => e.waitUntil(worker.clients.claim().then(fillCache)));
worker.addEventListener("fetch", (e) => {
  const { request } = e;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== worker.location.origin) return;
  if (request.mode === "navigate" && (url.pathname === "/" || url.pathname.startsWith("/r/"))) page(e);
  else if (url.pathname.startsWith("/assets/")) e.respondWith(asset(request));
});

worker.addEventListener("notificationclick", (e) => {
  e.notification.close();
  e.waitUntil(openPage(e.notification.tag));
});

async function openPage(tag: string): Promise<void> {
  const [page] = await worker.clients.matchAll({ type: "window" });
  if (!page) return void (await worker.clients.openWindow(shell));
  page.postMessage({ opened: tag });
  await page.focus();
}

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

// All rooms have the same page. It does not wait for the cache.
function page(e: Fetching): void {
  const answer = fetch(e.request, { signal: AbortSignal.timeout(timeout) });
  e.waitUntil(answer.then((r) => keep(r.clone())).catch(() => { /* there is no network, or no cache */ }));
  e.respondWith(answer.catch(async () => (await cached(shell)) ?? Response.error()));
}

async function keep(page: Response): Promise<void> {
  if (!page.ok) return;
  const cache = await caches.open(cacheName);
  const known = await (await cache.match(shell, match))?.text();
  if (known === await page.clone().text()) return;
  await cache.put(shell, page);
  await fillCache();
}

const asset = async (request: Request): Promise<Response> => (await cached(request)) ?? fetch(request);

// A browser that blocks storage refuses the cache, or does not answer at all.
function cached(request: Request | string): Promise<Response | undefined> {
  return within(browserClock, cacheTime, undefined, () => caches.match(request, match));
}

// Keeps the page and its assets, so that a reload without a network shows the
// app, which then waits for the server. Nothing that anyone said is kept here.
//
// A page is asked from the server first, and shown from here when there is no
// answer. An asset under its hash never changes, and is shown from here first.

interface Extendable { waitUntil(p: Promise<unknown>): void }
interface Fetching extends Extendable { readonly request: Request; respondWith(r: Promise<Response>): void }
interface Worker {
  readonly location: Location;
  skipWaiting(): Promise<void>;
  readonly clients: { claim(): Promise<void> };
  addEventListener(type: "install" | "activate", f: (e: Extendable) => void): void;
  addEventListener(type: "fetch", f: (e: Fetching) => void): void;
}
const me = globalThis as unknown as Worker;

const shelf = "magpie-1";
const shell = "/";
const anyway = { ignoreVary: true } as const; // compressed or not, it is the same file
const patience = 4_000; // milliseconds until a page is shown from here

me.addEventListener("install", (e) => e.waitUntil(me.skipWaiting()));
me.addEventListener("activate", (e) => e.waitUntil(me.clients.claim().then(fillShelf)));
me.addEventListener("fetch", (e) => {
  const { request } = e;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== me.location.origin) return;
  if (request.mode === "navigate" && (url.pathname === "/" || url.pathname.startsWith("/r/"))) e.respondWith(page(request));
  else if (url.pathname.startsWith("/assets/")) e.respondWith(asset(request));
});

// The first visit was made without this worker: take what it needs.
async function fillShelf(): Promise<void> {
  const cache = await caches.open(shelf);
  await cache.add(new Request(shell, { cache: "no-cache" })).catch(() => {});
  const text = await (await cache.match(shell, anyway))?.text() ?? "";
  const assets = [...text.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map((m) => m[1]!);
  await Promise.all(assets.map(async (a) => (await cache.match(a, anyway)) ?? cache.add(a).catch(() => {})));
  await forget(cache, new Set([shell, ...assets]));
}

// Old versions are not kept.
async function forget(cache: Cache, wanted: ReadonlySet<string>): Promise<void> {
  for (const key of await cache.keys()) if (!wanted.has(new URL(key.url).pathname)) await cache.delete(key);
}

// Every room has the same page.
async function page(request: Request): Promise<Response> {
  try {
    const answer = await fetch(request, { signal: AbortSignal.timeout(patience) });
    if (answer.ok) {
      const cache = await caches.open(shelf);
      const known = await (await cache.match(shell, anyway))?.text();
      if (known !== await answer.clone().text()) {
        await cache.put(shell, answer.clone());
        await fillShelf();
      }
    }
    return answer;
  } catch {
    return (await caches.match(shell, anyway)) ?? Response.error();
  }
}

async function asset(request: Request): Promise<Response> {
  return (await caches.match(request, anyway)) ?? fetch(request);
}

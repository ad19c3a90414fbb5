// The tabs of one browser: one leads, each has its id, and closed ones are found.

import { expect, test } from "vitest";
import { openTabs, type TabEnvironment } from "../../src/control/tabs.ts";
import { FakeClock, memoryStore, microtasks } from "../fakes.ts";

type Callback = (lock: Lock | null) => unknown;

/** A browser with its locks and channel; open makes a tab of it. */
class FakeBrowser {
  readonly #held = new Map<string, object>(); // tab by lock
  readonly #queue: { name: string; tab: object; run: () => void }[] = [];
  readonly #channels = new Map<object, { onmessage: ((e: MessageEvent) => void) | null }>();

  async open({ session = memoryStore(), hidden = false, secure = true } = {}) {
    const tab = { hidden, session, changed: () => {}, left: () => {} };
    const channel = {
      onmessage: null as ((e: MessageEvent) => void) | null,
      postMessage: (data: unknown) => { for (const [other, c] of this.#channels) if (other !== tab) c.onmessage?.({ data } as MessageEvent); },
    };
    this.#channels.set(tab, channel);
    const environment: TabEnvironment = {
      locks: secure ? this.#locksOf(tab) : undefined, channel, hidden: () => tab.hidden,
      onVisibility: (f) => { tab.changed = f; }, onLeave: (f) => { tab.left = f; },
    };
    const tabs = await openTabs(session, new FakeClock(), environment);
    await microtasks();
    return {
      tabs, session,
      show: (visible: boolean) => {
        tab.hidden = !visible;
        tab.changed();
      },
      close: async () => {
        tab.left();
        this.#channels.delete(tab);
        for (const [name, holder] of this.#held) if (holder === tab) this.#held.delete(name);
        const next = this.#queue.findIndex((w) => !this.#held.has(w.name) && this.#channels.has(w.tab));
        if (next >= 0) this.#queue.splice(next, 1)[0]!.run();
        await microtasks();
      },
    };
  }

  #locksOf(tab: object): NonNullable<TabEnvironment["locks"]> {
    const grant = (name: string, f: Callback) => {
      this.#held.set(name, tab);
      void f({ name, mode: "exclusive" });
    };
    const request = (name: string, ...rest: unknown[]) => {
      const f = rest.at(-1) as Callback;
      const { ifAvailable = false } = (rest.length > 1 ? rest[0] : {}) as LockOptions;
      if (!this.#held.has(name)) grant(name, f);
      else if (ifAvailable) return Promise.resolve(f(null));
      else this.#queue.push({ name, tab, run: () => grant(name, f) });
      return new Promise(() => {});
    };
    return { request, query: async () => ({ held: [...this.#held.keys()].map((name) => ({ name })) }) } as unknown as NonNullable<TabEnvironment["locks"]>;
  }
}

test("the first tab leads; when it is closed the next one does", async () => {
  const browser = new FakeBrowser();
  const [a, b, c] = [await browser.open(), await browser.open(), await browser.open()];
  expect([a, b, c].map((x) => x.tabs.isLeader())).toEqual([true, false, false]);
  await a.close();
  expect([b, c].map((x) => x.tabs.isLeader())).toEqual([true, false]);
  await b.close();
  expect(c.tabs.isLeader()).toBe(true);
});

test("a tab keeps its id over a reload; a duplicated tab gets its own", async () => {
  const browser = new FakeBrowser();
  const first = await browser.open();
  const { id } = first.tabs;
  expect(id).toMatch(/^[0-9a-f]{32}$/);
  expect(first.session.get("tab")).toBe(id);
  const copy = await browser.open({ session: memoryStore({ tab: id }) });
  expect(copy.tabs.id).not.toBe(id);
  expect(copy.session.get("tab")).toBe(copy.tabs.id);
  await first.close();
  expect((await browser.open({ session: first.session })).tabs.id).toBe(id);
});

test("closed tabs are those that no longer hold their id", async () => {
  const browser = new FakeBrowser();
  const [a, b, c] = [await browser.open(), await browser.open(), await browser.open()];
  await b.close();
  const ids = [a, b, c].map((x) => x.tabs.id);
  expect(await a.tabs.closed([...ids, "never seen"])).toEqual([b.tabs.id, "never seen"]);
  expect(await c.tabs.closed(ids)).toEqual([b.tabs.id]);
});

test("a visible tab is known to all, also to one that is opened later", async () => {
  const browser = new FakeBrowser();
  const a = await browser.open({ hidden: true });
  expect(a.tabs.anyVisible()).toBe(false);
  expect(a.tabs.hidden()).toBe(true);
  const b = await browser.open();
  expect(a.tabs.anyVisible()).toBe(true);
  const c = await browser.open({ hidden: true });
  expect(c.tabs.anyVisible()).toBe(true);
  b.show(false);
  expect([a, b, c].map((x) => x.tabs.anyVisible())).toEqual([false, false, false]);
  c.show(true);
  expect([a, b, c].map((x) => x.tabs.anyVisible())).toEqual([true, true, true]);
  await c.close();
  expect([a, b].map((x) => x.tabs.anyVisible())).toEqual([false, false]);
});

test("on a page that is not secure there are no locks: each tab leads, and none is taken for closed", async () => {
  const browser = new FakeBrowser();
  const [a, b] = [await browser.open({ secure: false }), await browser.open({ secure: false })];
  expect([a.tabs.isLeader(), b.tabs.isLeader()]).toEqual([true, true]);
  expect(await a.tabs.closed(["x"])).toEqual([]);
  expect(a.session.get("tab")).toBe(a.tabs.id);
});

// A browser that blocks storage blocks these, too, each in its own way.
const never = () => new Promise<never>(() => {});
const rejects = () => Promise.reject(new DOMException("denied", "SecurityError"));
const throws = () => { throw new DOMException("denied", "SecurityError"); };
const grants = (_: string, ...rest: unknown[]) => { void (rest.at(-1) as Callback)({ name: "", mode: "exclusive" }); return never(); };

async function openedWith(locks: object) {
  const clock = new FakeClock();
  let tabs: Awaited<ReturnType<typeof openTabs>> | undefined;
  const environment = { locks: locks as never, channel: undefined, hidden: () => true, onVisibility: () => {}, onLeave: () => {} };
  void openTabs(memoryStore({ tab: "mine" }), clock, environment).then((t) => { tabs = t; });
  await clock.advance(1_000);
  return { clock, tabs: tabs! };
}

test.each([["never answer", never], ["reject", rejects], ["throw", throws]])("where locks %s a tab is alone, and not held up for more than a second", async (_, request) => {
  const { tabs } = await openedWith({ request, query: never });
  expect([tabs.id, tabs.isLeader(), tabs.anyVisible()]).toEqual(["mine", true, false]);
  expect(await tabs.closed(["other"])).toEqual([]); // without its locks no tab is known to be closed
});

test("where locks answer late a tab leads until then, and after that only if it is the leader", async () => {
  const asked: { name: string; f: Callback }[] = [];
  const request = (name: string, ...rest: unknown[]) => new Promise((resolve) => {
    asked.push({ name, f: (lock) => { const held = (rest.at(-1) as Callback)(lock); if (!held) resolve(held); } });
  });
  const answer = async (name: string, lock: Lock | null) => {
    asked.splice(asked.findIndex((a) => a.name === name), 1)[0]!.f(lock);
    await microtasks();
  };
  const { tabs } = await openedWith({ request, query: never });
  expect(tabs.isLeader()).toBe(true);
  await answer("magpie-lead", null); // another tab leads
  expect(tabs.isLeader()).toBe(false);
  await answer("magpie-lead", { name: "magpie-lead", mode: "exclusive" }); // that one was closed
  expect(tabs.isLeader()).toBe(true);
});

test.each([["never answers", never], ["rejects", rejects], ["throws", throws]])("where the list of locks %s no tab is taken for closed", async (_, query) => {
  const { clock, tabs } = await openedWith({ request: grants, query });
  let closed: string[] | undefined;
  void tabs.closed(["other"]).then((ids) => { closed = ids; });
  await clock.advance(1_000);
  expect(closed).toEqual([]);
});

test.each([["rejects", rejects], ["throws", throws]])("where the lock of the leader %s this tab leads", async (_, refuse) => {
  const request = (name: string, ...rest: unknown[]) => (name === "magpie-lead" ? refuse() : grants(name, ...rest));
  expect((await openedWith({ request, query: never })).tabs.isLeader()).toBe(true);
});

// The tabs of one browser. Each has an id of its own, one of them is the leader
// and notifies for all, and the outbox of a closed one can be found. Where the
// browser has no locks for the page, or blocks them as it blocks storage, each
// tab is alone.

import { browserClock, type Clock } from "../client/clock.ts";
import { within } from "../client/deadline.ts";
import { newId } from "../client/id.ts";
import type { Store } from "../client/store.ts";

export interface Tabs {
  readonly id: string;
  /** Whether this tab is the one that notifies. */
  isLeader(): boolean;
  /** Whether this tab is hidden. */
  hidden(): boolean;
  /** Whether any tab of this browser is visible. */
  anyVisible(): boolean;
  /** Which of these ids belong to tabs that were closed. Never rejects. */
  closed(ids: readonly string[]): Promise<string[]>;
}

/** What the browser tells a tab of itself and of the others. */
export interface TabEnvironment {
  readonly locks: Pick<LockManager, "request" | "query"> | undefined; // only where the page is secure
  readonly channel: Pick<BroadcastChannel, "postMessage" | "onmessage"> | undefined; // not where storage is blocked
  hidden(): boolean;
  /** Calls f whenever hidden has changed. */
  onVisibility(f: () => void): void;
  /** Calls f when the page is left. */
  onLeave(f: () => void): void;
}

const browserEnvironment = (): TabEnvironment => ({
  locks: orNone(() => navigator.locks),
  channel: orNone(() => new BroadcastChannel("magpie-sight")),
  hidden: () => document.hidden,
  onVisibility: (f) => document.addEventListener("visibilitychange", f),
  onLeave: (f) => window.addEventListener("pagehide", f),
});

function orNone<T>(get: () => T): T | undefined {
  try {
    return get();
  } catch {
    return undefined;
  }
}

const answerTime = 1_000; // milliseconds that the browser has to answer
const lockOf = (id: string) => `magpie-tab-${id}`;

/** Finds this tab's id and holds it until the tab is closed. */
export async function openTabs(store: Store, clock: Clock = browserClock, environment = browserEnvironment()): Promise<Tabs> {
  const { locks, hidden } = environment;
  let id = store.get("tab") ?? newId();
  let answer = await hold(locks, lockOf(id), clock);
  if (answer === "taken") { // a duplicated tab has a copy of the other's storage
    id = newId();
    answer = await hold(locks, lockOf(id), clock);
  }
  store.set("tab", id);
  const isAlone = answer !== "held";
  let isLeader = isAlone; // until the browser answers, which may be later than answerTime
  if (locks) void follow(locks, "magpie-lead", (leads) => { isLeader = leads; });
  const visible = followVisible(id, environment);
  return {
    id,
    hidden,
    isLeader: () => isLeader,
    anyVisible: () => !hidden() || visible.size > 0,
    closed: async (ids) => {
      const held = isAlone ? undefined : await within(clock, answerTime, undefined, async () => (await locks!.query()).held);
      if (!held) return [];
      const names = new Set(held.map((l) => l.name));
      return ids.filter((other) => other !== id && !names.has(lockOf(other)));
    },
  };
}

// The browser releases a tab's locks when the tab is closed.
const untilClosed = () => new Promise<void>(() => {});

type Locks = NonNullable<TabEnvironment["locks"]>;

// Whether this tab has the lock now. "unknown": the browser does not say.
function hold(locks: Locks | undefined, name: string, clock: Clock): Promise<"held" | "taken" | "unknown"> {
  return within<"held" | "taken" | "unknown">(clock, answerTime, "unknown", () => locks ? new Promise((resolve, reject) => {
    locks.request(name, { ifAvailable: true }, (lock) => {
      resolve(lock ? "held" : "taken");
      return lock ? untilClosed() : undefined;
    }).catch(reject);
  }) : "unknown");
}

// Calls f with whether this tab has the lock, as soon as that is known, and when it
// gets the lock later; with true when there are no locks after all.
async function follow(locks: Locks, name: string, f: (has: boolean) => void): Promise<void> {
  const take = (lock: Lock | null) => {
    f(lock !== null);
    return lock ? untilClosed() : undefined;
  };
  try {
    await locks.request(name, { ifAvailable: true }, take);
    await locks.request(name, take);
  } catch {
    f(true);
  }
}

// The ids of the other tabs that are visible.
function followVisible(id: string, { channel, hidden, onVisibility, onLeave }: TabEnvironment): ReadonlySet<string> {
  const others = new Set<string>();
  if (!channel) return others;
  const tell = (visible: boolean) => channel.postMessage({ id, visible });
  channel.onmessage = ({ data }: MessageEvent<{ id: string; visible?: boolean; ask?: boolean }>) => {
    if (data.ask) tell(!hidden());
    else if (data.visible) others.add(data.id);
    else others.delete(data.id);
  };
  onVisibility(() => tell(!hidden()));
  onLeave(() => tell(false));
  channel.postMessage({ id, ask: true });
  tell(!hidden());
  return others;
}

// The tabs of one browser. Each has an id of its own, one of them is the leader
// and notifies for all, and the outbox of a closed one can be found.

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
  /** Which of these ids belong to tabs that were closed. */
  closed(ids: readonly string[]): Promise<string[]>;
}

/** What the browser tells a tab of itself and of the others. */
export interface TabEnvironment {
  readonly locks: Pick<LockManager, "request" | "query"> | undefined; // only where the page is secure
  readonly channel: Pick<BroadcastChannel, "postMessage" | "onmessage">;
  hidden(): boolean;
  /** Calls f whenever hidden has changed. */
  onVisibility(f: () => void): void;
  /** Calls f when the page is left. */
  onLeave(f: () => void): void;
}

const browserEnvironment = (): TabEnvironment => ({
  locks: navigator.locks as LockManager | undefined,
  channel: new BroadcastChannel("magpie-sight"),
  hidden: () => document.hidden,
  onVisibility: (f) => document.addEventListener("visibilitychange", f),
  onLeave: (f) => window.addEventListener("pagehide", f),
});

const lockOf = (id: string) => `magpie-tab-${id}`;

/** Finds this tab's id and holds it until the tab is closed. */
export async function openTabs(store: Store, environment = browserEnvironment()): Promise<Tabs> {
  const { locks, hidden } = environment;
  let id = store.get("tab") ?? newId();
  let isLeader = locks === undefined;
  if (locks) {
    // A duplicated tab has a copy of the other's storage, and must not take its id.
    if (!(await hold(locks, lockOf(id)))) {
      id = newId();
      await hold(locks, lockOf(id));
    }
    void locks.request("magpie-lead", () => {
      isLeader = true;
      return untilClosed();
    });
  }
  store.set("tab", id);
  const visible = followVisible(id, environment);
  return {
    id,
    hidden,
    isLeader: () => isLeader,
    anyVisible: () => !hidden() || visible.size > 0,
    closed: async (ids) => {
      if (!locks) return [];
      const held = new Set(((await locks.query()).held ?? []).map((l) => l.name));
      return ids.filter((other) => other !== id && !held.has(lockOf(other)));
    },
  };
}

// The browser releases a tab's locks when the tab is closed.
const untilClosed = () => new Promise<void>(() => {});

// Resolves to whether this tab has the lock now.
function hold(locks: NonNullable<TabEnvironment["locks"]>, name: string): Promise<boolean> {
  return new Promise((resolve) => {
    void locks.request(name, { ifAvailable: true }, (lock) => {
      resolve(lock !== null);
      return lock ? untilClosed() : undefined;
    });
  });
}

// The ids of the other tabs that are visible.
function followVisible(id: string, { channel, hidden, onVisibility, onLeave }: TabEnvironment): ReadonlySet<string> {
  const others = new Set<string>();
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

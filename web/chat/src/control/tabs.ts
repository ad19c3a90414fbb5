// The tabs of one browser: each has a name of its own, one of them speaks for
// all, and what a closed one left behind is found.

import { newId } from "../client/id.ts";

export interface Tabs {
  readonly id: string;
  /** This tab is the one that notifies. */
  leads(): boolean;
  /** A tab of this browser is in sight. */
  inSight(): boolean;
  /** Ids of other tabs whose things lie on the shelf and that are gone. */
  orphans(ids: readonly string[]): Promise<string[]>;
}

const lockOf = (id: string) => `magpie-tab-${id}`;

/** Finds this tab's id and holds it while the tab lives. */
export async function openTabs(storage: { get(name: string): string | null; set(name: string, value: string | null): void }): Promise<Tabs> {
  const locks = navigator.locks as LockManager | undefined; // only where the page is secure
  let id = storage.get("tab") ?? newId();
  let leads = locks === undefined;
  if (locks) {
    // A duplicated tab comes with its twin's storage and must not take its id.
    if (!(await hold(locks, lockOf(id)))) {
      id = newId();
      await hold(locks, lockOf(id));
    }
    void locks.request("magpie-lead", () => {
      leads = true;
      return new Promise<void>(() => {}); // until the tab is gone
    });
  }
  storage.set("tab", id);
  const seen = watchSight(id);
  return {
    id,
    leads: () => leads,
    inSight: () => !document.hidden || seen.size > 0,
    orphans: async (ids) => {
      if (!locks) return [];
      const held = new Set(((await locks.query()).held ?? []).map((l) => l.name));
      return ids.filter((other) => other !== id && !held.has(lockOf(other)));
    },
  };
}

// Resolves to whether the lock is this tab's now; it is held for the tab's life.
function hold(locks: LockManager, name: string): Promise<boolean> {
  return new Promise((resolve) => {
    void locks.request(name, { ifAvailable: true }, (lock) => {
      resolve(lock !== null);
      return lock ? new Promise<void>(() => {}) : undefined;
    });
  });
}

// Which other tabs are in sight.
function watchSight(id: string): ReadonlySet<string> {
  const seen = new Set<string>();
  const channel = new BroadcastChannel("magpie-sight");
  const tell = (visible = !document.hidden) => channel.postMessage({ id, visible });
  channel.onmessage = ({ data }: MessageEvent<{ id: string; visible?: boolean; ask?: boolean }>) => {
    if (data.ask) return tell();
    if (data.visible) seen.add(data.id);
    else seen.delete(data.id);
  };
  document.addEventListener("visibilitychange", () => tell());
  window.addEventListener("pagehide", () => tell(false));
  channel.postMessage({ id, ask: true });
  tell();
  return seen;
}

// Stands in for the browser and the server, so that tests neither wait nor ask
// anybody.

import type { Clock } from "../src/client/clock.ts";
import type { ChannelListener, Connection, Subscribed, Subscription } from "../src/client/connection.ts";
import { type API, type Guest, type Page, type PageQuery, Refused } from "../src/client/http.ts";
import { Store } from "../src/client/store.ts";
import type { Tabs } from "../src/control/tabs.ts";
import type { PublisherInfo, WireMessage } from "../src/state/message.ts";

/** Lets everything run that waits for a promise and not for time. */
export async function microtasks(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}

export class FakeClock implements Clock {
  chance = 0.5;
  #now = 1_000_000_000;
  #timers: { readonly at: number; readonly f: () => void }[] = [];

  now(): number { return this.#now; }
  random(): number { return this.chance; }

  after(milliseconds: number, f: () => void): () => void {
    const timer = { at: this.#now + milliseconds, f };
    this.#timers.push(timer);
    return () => { this.#timers = this.#timers.filter((t) => t !== timer); };
  }

  get waiting(): number { return this.#timers.length; }

  async advance(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds;
    for (;;) {
      await microtasks();
      const due = this.#timers.filter((t) => t.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.#timers = this.#timers.filter((t) => t !== due);
      this.#now = due.at;
      due.f();
    }
    this.#now = end;
  }
}

export interface Publication {
  readonly channel: string;
  readonly data: unknown;
  answer(): Promise<void>;
  refuse(code: number, message?: string): Promise<void>;
}

export class FakeConnection implements Connection {
  online = true;
  readonly calls: string[] = []; // connect, reconnect and retry, in order
  readonly published: Publication[] = [];
  readonly presence = new Map<string, Record<string, PublisherInfo>>(); // by channel
  presenceRequests = 0;
  readonly #listeners = new Map<string, ChannelListener>();

  connect(token: string): void { this.calls.push(`connect ${token}`); }
  reconnect(token: string): void { this.calls.push(`reconnect ${token}`); }
  retry(): void { this.calls.push("retry"); }
  network(online: boolean): void { this.calls.push(`network ${online}`); }

  publish(channel: string, data: unknown): Promise<void> {
    return new Promise((resolve, reject) => {
      this.published.push({
        channel, data,
        answer: () => { resolve(); return microtasks(); },
        refuse: (code, message = "") => { reject({ code, message }); return microtasks(); },
      });
    });
  }

  subscribe(channel: string, to: ChannelListener): Subscription {
    this.#listeners.set(channel, to);
    return {
      presence: () => {
        this.presenceRequests++;
        const clients = this.presence.get(channel);
        return clients ? Promise.resolve(clients) : Promise.reject({ code: 103, message: "permission denied" });
      },
      unsubscribe: () => { if (this.#listeners.get(channel) === to) this.#listeners.delete(channel); },
    };
  }

  get channels(): string[] { return [...this.#listeners.keys()]; }
  listener(channel: string): ChannelListener { return this.#listeners.get(channel)!; }

  async subscribed(channel: string, s: Partial<Subscribed> = {}): Promise<void> {
    this.listener(channel).subscribed({ position: null, gap: false, recovered: false, ...s });
    await microtasks();
  }

  /** What has been published into a channel, oldest first. */
  dataIn(channel: string): unknown[] { return this.published.filter((p) => p.channel === channel).map((p) => p.data); }
}

/** A server with logs of one epoch each, and guests. */
export class FakeAPI implements API {
  readonly requests: PageQuery[] = [];
  readonly guestRequests: { token: string; name: string }[] = [];
  /** When set, every request fails with it. */
  error: Error | null = null;
  nextGuest: Guest = { token: "guest token", user: "g:1", name: "Guest 1", color: 3, expires: 2_000_000_000 };
  readonly #logs = new Map<string, WireMessage[]>();
  /** When set, answers wait for it. */
  hold: Promise<void> | null = null;
  /** How many messages a page holds at most. */
  most = Infinity;

  /** Appends to a channel's log and returns the entry. */
  append(channel: string, data: unknown, more: Partial<WireMessage> = {}): WireMessage {
    const log = this.#logs.get(channel) ?? [];
    const offset = (log.at(-1)?.offset ?? 0) + 1;
    const entry = { data, epoch: "e", offset, time: 1_000 + offset, via: "sdk", info: { user: "bob", conn_info: { name: "Bob" } }, ...more };
    this.#logs.set(channel, [...log, entry]);
    return entry;
  }

  appendAll(channel: string, n: number): void { for (let i = 0; i < n; i++) this.append(channel, { content: `m${this.top(channel) + 1}` }); }
  top(channel: string): number { return this.#logs.get(channel)?.at(-1)?.offset ?? 0; }
  /** Drops all but the newest n entries. */
  trim(channel: string, n: number): void { this.#logs.set(channel, this.#logs.get(channel)!.slice(-n)); }

  async history(channel: string, _token: string, query: PageQuery): Promise<Page> {
    this.requests.push(query);
    if (this.hold) await this.hold;
    if (this.error) throw this.error;
    const log = this.#logs.get(channel) ?? [];
    const { since, reverse } = query;
    const limit = Math.min(query.limit, this.most);
    const first = log[0]?.offset ?? 1;
    const gap = since !== undefined && !reverse && (since.epoch !== "e" || since.offset < first - 1);
    const found = since === undefined ? log : log.filter((e) => (reverse ? e.offset! < since.offset : e.offset! > since.offset));
    const messages = reverse ? found.slice(-limit) : found.slice(0, limit);
    // Backwards the server knows only that the page is full.
    const more = reverse ? messages.length === limit && limit > 0 && messages[0]!.offset! > 1 : found.length > limit;
    return { messages, epoch: "e", offset: this.top(channel), gap, more };
  }

  async guest(token: string, name: string): Promise<Guest> {
    this.guestRequests.push({ token, name });
    if (this.error) throw this.error;
    return { ...this.nextGuest, name: name || this.nextGuest.name };
  }
}

export const refused = (status: number) => new Refused(status, "");

/** A store in memory that holds these values. */
export function memoryStore(values: Record<string, string> = {}): Store {
  const methods = {
    getItem(this: Record<string, string>, name: string) { return Object.hasOwn(this, name) ? this[name] : null; },
    setItem(this: Record<string, string>, name: string, value: string) { this[name] = value; },
    removeItem(this: Record<string, string>, name: string) { delete this[name]; },
  };
  const storage = Object.create(methods) as Storage;
  const store = new Store(() => storage);
  for (const [name, value] of Object.entries(values)) store.set(name, value);
  return store;
}

export class FakeTabs implements Tabs {
  readonly id = "tab1";
  leader = true;
  isHidden = false;
  othersVisible = false;
  gone: string[] = [];
  isLeader = () => this.leader;
  hidden = () => this.isHidden;
  anyVisible = () => !this.isHidden || this.othersVisible;
  closed = async (ids: readonly string[]) => ids.filter((id) => this.gone.includes(id));
}

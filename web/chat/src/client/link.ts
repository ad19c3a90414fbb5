// The official Centrifuge client behind the few calls that the app needs. No
// DOM here, and no decision: what happens is told to whoever listens.

import { Centrifuge, type PublicationContext, type Subscription } from "centrifuge";
import type { Wire, WireInfo } from "../state/message.ts";

/** What the connection is doing. until is when the next attempt begins. */
export type Line =
  | { readonly name: "connecting"; readonly since: number }
  | { readonly name: "waiting"; readonly since: number; readonly until: number }
  | { readonly name: "online"; readonly client: string }
  | { readonly name: "stopped"; readonly code: number; readonly reason: string };

export interface Place {
  readonly epoch: string;
  readonly offset: number;
}

/** A channel is live. gap: what was missed could not be recovered (D2). */
export interface Joined {
  readonly place: Place | null;
  readonly gap: boolean;
  readonly recovered: boolean; // all that was missed comes right behind this
}

export interface Listener {
  joined(j: Joined): void;
  message(wire: Wire): void;
  moved?(): void; // somebody came or went
  refused(code: number, reason: string): void;
}

export interface Channel {
  presence(): Promise<Record<string, WireInfo>>;
  leave(): void;
}

/** Why a publication failed. code < 100: the answer did not come. */
export interface Refusal {
  readonly code: number;
  readonly message: string;
}

export interface Options {
  readonly url: string;
  token(): Promise<string>;
  onLine(line: Line): void;
  /** The user's own channel, to which the server subscribes by itself. */
  own: { joined(channel: string, j: Joined): void; message(channel: string, wire: Wire): void };
}

export class Link {
  readonly #client: Centrifuge;
  readonly #network = new EventTarget();
  #since = Date.now();
  #places = new Map<string, string>(); // epoch by channel

  constructor(private readonly options: Options) {
    this.#client = new Centrifuge(options.url, { getToken: options.token, networkEventTarget: this.#network, name: "magpie-chat" });
    this.#listen();
    this.#tellDelays();
  }

  connect(token: string): void {
    this.#since = Date.now();
    this.#client.setToken(token);
    this.#client.connect();
  }

  /** Takes up a new token: the session is opened again, nothing is missed. */
  reopen(token: string): void {
    this.#client.disconnect();
    this.connect(token);
  }

  stop(): void { this.#client.disconnect(); }

  /** Tries now instead of later. */
  retry(): void {
    if (this.#client.state === "disconnected") return this.#client.connect();
    this.options.onLine({ name: "connecting", since: this.#since });
    this.#network.dispatchEvent(new Event("online"));
  }

  /** The device lost its network, or has it again. */
  network(online: boolean): void { this.#network.dispatchEvent(new Event(online ? "online" : "offline")); }

  get online(): boolean { return this.#client.state === "connected"; }

  /** Resolves when the server has it (D4); rejects with a Refusal. */
  async publish(channel: string, data: unknown): Promise<void> {
    await this.#client.publish(channel, data);
  }

  join(channel: string, to: Listener): Channel {
    const sub = this.#client.getSubscription(channel) ?? this.#client.newSubscription(channel, { recoverable: true, positioned: true, joinLeave: true });
    sub.on("publication", (ctx) => to.message(this.#wire(channel, ctx)));
    sub.on("subscribed", (ctx) => {
      const place = ctx.streamPosition ?? null;
      const moved = place !== null && this.#places.has(channel) && this.#places.get(channel) !== place.epoch;
      if (place) this.#places.set(channel, place.epoch);
      const recovered = ctx.wasRecovering && ctx.recovered;
      to.joined({ place, gap: !recovered && (ctx.wasRecovering || moved), recovered });
    });
    sub.on("join", () => to.moved?.());
    sub.on("leave", () => to.moved?.());
    sub.on("unsubscribed", (ctx) => { if (ctx.code !== 0) to.refused(ctx.code, ctx.reason); });
    sub.subscribe();
    return { presence: () => presenceOf(sub), leave: () => this.#leave(channel, sub) };
  }

  #leave(channel: string, sub: Subscription): void {
    this.#places.delete(channel);
    sub.removeAllListeners();
    sub.unsubscribe();
    this.#client.removeSubscription(sub);
  }

  #wire(channel: string, ctx: PublicationContext): Wire {
    return {
      data: ctx.data, epoch: this.#places.get(channel) ?? "", offset: ctx.offset ?? 0,
      info: ctx.info, ...(ctx.info?.connInfo ? { via: "sdk" } : {}),
    };
  }

  #listen(): void {
    const c = this.#client;
    const { onLine, own } = this.options;
    c.on("connecting", () => {
      this.#since = Date.now();
      onLine({ name: "connecting", since: this.#since });
    });
    c.on("connected", (ctx) => onLine({ name: "online", client: ctx.client }));
    c.on("disconnected", (ctx) => { if (ctx.code !== 0) onLine({ name: "stopped", code: ctx.code, reason: ctx.reason }); });
    c.on("subscribed", (ctx) => {
      const place = ctx.streamPosition ?? null;
      if (place) this.#places.set(ctx.channel, place.epoch);
      own.joined(ctx.channel, { place, gap: ctx.wasRecovering && !ctx.recovered, recovered: ctx.wasRecovering && ctx.recovered });
    });
    c.on("publication", (ctx) => own.message(ctx.channel, this.#wire(ctx.channel, ctx)));
  }

  // The client keeps the delay before its next attempt to itself; the banner
  // counts it down. The version is pinned, and a test holds that it is there.
  #tellDelays(): void {
    const inner = this.#client as unknown as { _getReconnectDelay?: () => number };
    const choose = inner._getReconnectDelay?.bind(this.#client);
    if (!choose) return;
    inner._getReconnectDelay = () => {
      const delay = choose();
      this.options.onLine({ name: "waiting", since: this.#since, until: Date.now() + delay });
      return delay;
    };
  }
}

async function presenceOf(sub: Subscription): Promise<Record<string, WireInfo>> {
  const { clients } = await sub.presence();
  return clients;
}

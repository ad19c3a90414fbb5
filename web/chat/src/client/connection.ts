// The official Centrifuge client behind the few calls that the app needs. It
// touches no page and decides nothing: it tells its listeners what happens.

import { Centrifuge, type PublicationContext, type Subscription as ClientSubscription } from "centrifuge";
import type { ConnectionState } from "../state/connection.ts";
import type { PublisherInfo, WireMessage } from "../state/message.ts";
import type { Position } from "../state/position.ts";
import { browserClock, type Clock } from "./clock.ts";

/** A channel is live. gap: what was missed could not be recovered (D2). */
export interface Subscribed {
  readonly position: Position | null;
  readonly gap: boolean;
  readonly recovered: boolean; // all that was missed comes right behind this
}

export interface ChannelListener {
  subscribed(s: Subscribed): void;
  message(wire: WireMessage): void;
  presenceChanged?(): void;
  refused(code: number, reason: string): void;
}

export interface Subscription {
  presence(): Promise<Record<string, PublisherInfo>>;
  unsubscribe(): void;
}

/** Why a publication failed. code < 100: the answer did not come. */
export interface Refusal {
  readonly code: number;
  readonly message: string;
}

/** What the app asks of its connection. */
export interface Connection {
  readonly online: boolean;
  connect(token: string): void;
  /** Opens the session again with a new token; nothing is missed. */
  reconnect(token: string): void;
  /** Tries now instead of later. */
  retry(): void;
  /** The device lost its network, or has it again. */
  network(online: boolean): void;
  /** Resolves when the server has it (D4); rejects with a Refusal. */
  publish(channel: string, data: unknown): Promise<void>;
  subscribe(channel: string, to: ChannelListener): Subscription;
}

export interface ConnectionOptions {
  readonly url: string;
  readonly clock?: Clock;
  token(): Promise<string>;
  changed(state: ConnectionState): void;
  /** The user's personal channel, to which the server subscribes by itself. */
  readonly personal: { subscribed(channel: string): void; message(channel: string, wire: WireMessage): void };
}

export class CentrifugeConnection implements Connection {
  readonly #client: Centrifuge;
  readonly #network = new EventTarget();
  readonly #clock: Clock;
  #since: number;
  #epochs = new Map<string, string>(); // by channel

  constructor(private readonly options: ConnectionOptions) {
    this.#clock = options.clock ?? browserClock;
    this.#since = this.#clock.now();
    this.#client = new Centrifuge(options.url, { getToken: options.token, networkEventTarget: this.#network, name: "magpie-chat" });
    this.#listen();
    this.#reportDelays();
  }

  get online(): boolean { return this.#client.state === "connected"; }

  connect(token: string): void {
    this.#since = this.#clock.now();
    this.#client.setToken(token);
    this.#client.connect();
  }

  reconnect(token: string): void {
    this.#client.disconnect();
    this.connect(token);
  }

  retry(): void {
    if (this.#client.state === "disconnected") return this.#client.connect();
    this.options.changed({ name: "connecting", since: this.#since });
    this.#network.dispatchEvent(new Event("online"));
  }

  network(online: boolean): void { this.#network.dispatchEvent(new Event(online ? "online" : "offline")); }

  async publish(channel: string, data: unknown): Promise<void> {
    await this.#client.publish(channel, data);
  }

  subscribe(channel: string, to: ChannelListener): Subscription {
    const sub = this.#client.getSubscription(channel) ?? this.#client.newSubscription(channel, { recoverable: true, positioned: true, joinLeave: true });
    sub.on("publication", (ctx) => to.message(this.#wireMessage(channel, ctx)));
    sub.on("subscribed", (ctx) => {
      const position = ctx.streamPosition ?? null;
      const known = this.#epochs.get(channel);
      const epochChanged = position !== null && known !== undefined && known !== position.epoch;
      if (position) this.#epochs.set(channel, position.epoch);
      const recovered = ctx.wasRecovering && ctx.recovered;
      to.subscribed({ position, gap: !recovered && (ctx.wasRecovering || epochChanged), recovered });
    });
    sub.on("join", () => to.presenceChanged?.());
    sub.on("leave", () => to.presenceChanged?.());
    sub.on("unsubscribed", (ctx) => { if (ctx.code !== 0) to.refused(ctx.code, ctx.reason); });
    sub.subscribe();
    return { presence: async () => (await sub.presence()).clients, unsubscribe: () => this.#unsubscribe(channel, sub) };
  }

  #unsubscribe(channel: string, sub: ClientSubscription): void {
    this.#epochs.delete(channel);
    sub.removeAllListeners();
    sub.unsubscribe();
    this.#client.removeSubscription(sub);
  }

  #wireMessage(channel: string, ctx: PublicationContext): WireMessage {
    return {
      data: ctx.data, epoch: this.#epochs.get(channel) ?? "", offset: ctx.offset ?? 0,
      info: ctx.info, ...(ctx.info?.connInfo ? { via: "sdk" } : {}),
    };
  }

  #listen(): void {
    const c = this.#client;
    const { changed, personal } = this.options;
    c.on("connecting", () => {
      this.#since = this.#clock.now();
      changed({ name: "connecting", since: this.#since });
    });
    c.on("connected", (ctx) => changed({ name: "online", client: ctx.client }));
    c.on("disconnected", (ctx) => { if (ctx.code !== 0) changed({ name: "stopped", code: ctx.code, reason: ctx.reason }); });
    c.on("subscribed", (ctx) => {
      if (ctx.streamPosition) this.#epochs.set(ctx.channel, ctx.streamPosition.epoch);
      personal.subscribed(ctx.channel);
    });
    c.on("publication", (ctx) => personal.message(ctx.channel, this.#wireMessage(ctx.channel, ctx)));
  }

  // The client keeps the delay before its next attempt to itself; the banner
  // counts it down. The version is pinned, and a test holds that the method is
  // there.
  #reportDelays(): void {
    const inner = this.#client as unknown as { _getReconnectDelay?: () => number };
    const choose = inner._getReconnectDelay?.bind(this.#client);
    if (!choose) return;
    inner._getReconnectDelay = () => {
      const delay = choose();
      this.options.changed({ name: "waiting", since: this.#since, until: this.#clock.now() + delay });
      return delay;
    };
  }
}

// What the official client tells, in the app's words.

import { beforeEach, expect, test, vi } from "vitest";
import { CentrifugeConnection, type Subscribed } from "../../src/client/connection.ts";
import type { ConnectionState } from "../../src/state/connection.ts";
import type { WireMessage } from "../../src/state/message.ts";
import { FakeClock } from "../fakes.ts";

type Handler = (ctx: never) => void;
const fakes = vi.hoisted(() => {
  class Emitter {
    handlers = new Map<string, Handler[]>();
    on(name: string, f: Handler) { this.handlers.set(name, [...(this.handlers.get(name) ?? []), f]); }
    emit(name: string, ctx: unknown = {}) { for (const f of this.handlers.get(name) ?? []) f(ctx as never); }
    removeAllListeners() { this.handlers.clear(); }
  }
  class Subscription extends Emitter {
    calls: string[] = [];
    subscribe() { this.calls.push("subscribe"); }
    unsubscribe() { this.calls.push("unsubscribe"); }
    async presence() { return { clients: { c: { user: "ann" } } }; }
  }
  class Centrifuge extends Emitter {
    static last: Centrifuge;
    state = "disconnected";
    calls: string[] = [];
    subs = new Map<string, Subscription>();
    constructor(readonly url: string, readonly options: { getToken(): Promise<string>; networkEventTarget: EventTarget }) {
      super();
      Centrifuge.last = this;
      for (const name of ["online", "offline"]) options.networkEventTarget.addEventListener(name, () => this.calls.push(name));
    }
    setToken(token: string) { this.calls.push(`token ${token}`); }
    connect() { this.calls.push("connect"); }
    disconnect() { this.calls.push("disconnect"); }
    async publish(channel: string) { this.calls.push(`publish ${channel}`); }
    getSubscription(channel: string) { return this.subs.get(channel) ?? null; }
    newSubscription(channel: string) {
      const sub = new Subscription();
      this.subs.set(channel, sub);
      return sub;
    }
    removeSubscription(sub: Subscription) { for (const [name, s] of this.subs) if (s === sub) this.subs.delete(name); }
    _getReconnectDelay() { return 700; }
  }
  return { Centrifuge };
});
vi.mock("centrifuge", () => fakes);

const clock = new FakeClock();
let states: ConnectionState[];
let personal: unknown[];
let connection: CentrifugeConnection;
let client: InstanceType<typeof fakes.Centrifuge>;
beforeEach(() => {
  states = [];
  personal = [];
  connection = new CentrifugeConnection({
    url: "ws://x", clock, token: async () => "new", changed: (s) => states.push(s),
    personal: { subscribed: (c) => personal.push(c), message: (c, w) => personal.push([c, w]) },
  });
  client = fakes.Centrifuge.last;
});

function subscribe(channel = "chat") {
  const told: Subscribed[] = [];
  const messages: WireMessage[] = [];
  const refusals: number[] = [];
  let presence = 0;
  const subscription = connection.subscribe(channel, {
    subscribed: (s) => told.push(s), message: (w) => messages.push(w), presenceChanged: () => presence++, refused: (code) => refusals.push(code),
  });
  const sub = client.subs.get(channel)!;
  const live = (epoch: string | null, offset = 0, more = {}) => {
    sub.emit("subscribed", { streamPosition: epoch === null ? undefined : { epoch, offset }, wasRecovering: false, recovered: false, ...more });
    return told.at(-1)!;
  };
  return { subscription, sub, live, messages, refusals, presence: () => presence };
}

test("the states of the connection, with the time of the loss and of the next attempt", () => {
  connection.connect("t");
  client.emit("connecting");
  client.emit("connected", { client: "c1" });
  client.emit("connecting");
  expect(client._getReconnectDelay()).toBe(700);
  client.emit("disconnected", { code: 3500, reason: "invalid token" });
  client.emit("disconnected", { code: 0, reason: "by the app" });
  const since = clock.now();
  expect(states).toEqual([
    { name: "connecting", since }, { name: "online", client: "c1" }, { name: "connecting", since }, { name: "waiting", since, until: since + 700 }, { name: "stopped", code: 3500, reason: "invalid token" },
  ]);
  expect(client.calls).toEqual(["token t", "connect"]);
});

test("a new token is taken up by a new session", () => {
  connection.reconnect("t2");
  expect(client.calls).toEqual(["disconnect", "token t2", "connect"]);
});

test("a retry connects when the connection was ended, and else tries at once", () => {
  connection.retry();
  expect([client.calls, states]).toEqual([["connect"], []]);
  client.state = "connecting";
  connection.retry();
  connection.network(false);
  expect([client.calls, states.map((s) => s.name)]).toEqual([["connect", "online", "offline"], ["connecting"]]);
  expect(connection.online).toBe(false);
  client.state = "connected";
  expect(connection.online).toBe(true);
});

test("a channel is live where the server says; what could not be recovered is a gap (D2)", () => {
  const s = subscribe();
  expect(s.live("e", 5)).toEqual({ position: { epoch: "e", offset: 5 }, gap: false, recovered: false });
  expect(s.live("e", 7, { wasRecovering: true, recovered: true })).toMatchObject({ gap: false, recovered: true });
  expect(s.live("e", 9, { wasRecovering: true, recovered: false })).toMatchObject({ gap: true, recovered: false });
  expect(s.live("e", 9)).toMatchObject({ gap: false });
  expect(s.live("f", 1)).toMatchObject({ gap: true, recovered: false }); // another epoch (D10)
  expect(s.live("g", 1, { wasRecovering: true, recovered: true })).toMatchObject({ gap: false, recovered: true });
  expect(s.live(null)).toEqual({ position: null, gap: false, recovered: false });
});

test("a publication has the channel's epoch; who has a session there came by the SDK", () => {
  const s = subscribe();
  s.live("e", 5);
  s.sub.emit("publication", { data: "x", offset: 6, info: { user: "ann", connInfo: { name: "Ann" } } });
  s.sub.emit("publication", { data: "y" });
  expect(s.messages).toEqual([{ data: "x", epoch: "e", offset: 6, via: "sdk", info: { user: "ann", connInfo: { name: "Ann" } } }, { data: "y", epoch: "e", offset: 0, info: undefined }]);
});

test("presence, comings and goings, and refusals are told; one's own leave is none", async () => {
  const s = subscribe();
  s.sub.emit("join");
  s.sub.emit("leave");
  s.sub.emit("unsubscribed", { code: 103, reason: "denied" });
  s.sub.emit("unsubscribed", { code: 0, reason: "by the app" });
  expect([s.presence(), s.refusals, await s.subscription.presence()]).toEqual([2, [103], { c: { user: "ann" } }]);
});

test("a channel that was left tells nothing more, and starts anew", () => {
  const s = subscribe();
  s.live("e", 5);
  s.subscription.unsubscribe();
  s.sub.emit("publication", { data: "late" });
  expect([s.messages, s.sub.calls, client.subs.size]).toEqual([[], ["subscribe", "unsubscribe"], 0]);
  expect(subscribe().live("f", 1).gap).toBe(false);
});

test("channels of the server's are told apart by their names", () => {
  client.emit("subscribed", { channel: "user:42", streamPosition: { epoch: "e", offset: 1 } });
  client.emit("publication", { channel: "user:42", data: "x", offset: 2 });
  expect(personal).toEqual(["user:42", ["user:42", { data: "x", epoch: "e", offset: 2, info: undefined }]]);
});

test("a publication is done when the server has it (D4)", async () => {
  await connection.publish("chat", {});
  expect(client.calls).toEqual(["publish chat"]);
  expect(await client.options.getToken()).toBe("new");
});

// One room: its log by pages, its live messages, and what is missing between.

import { expect, test } from "vitest";
import type { RoomControl } from "../../src/control/room.ts";
import type { Message } from "../../src/state/message.ts";
import { microtasks, refused } from "../fakes.ts";
import { liveRoom, newRoom, newWorld, textsIn, type World } from "./setup.ts";

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => `m${from + i}`);
const at = (offset: number, epoch = "e") => ({ position: { epoch, offset } });
const live = (w: World, data: unknown, more = {}) => w.connection.listener("chat").message(w.api.append("chat", data, more));

async function open(w: World, more = {}, mark = null): Promise<RoomControl> {
  const room = newRoom(w, "lobby", more, mark);
  room.open(() => {});
  await microtasks();
  return room;
}

test("the log comes by pages of 40, each once, until its start", async () => {
  const w = newWorld();
  w.api.appendAll("chat", 90);
  const room = await liveRoom(w);
  expect(textsIn(room)).toEqual(numbers(51, 90));
  expect(room.room.value).toMatchObject({ loaded: true, complete: false, loading: false });
  void room.older();
  await room.older(); // one page at a time
  expect(textsIn(room)).toEqual(numbers(11, 90));
  await room.older();
  expect(textsIn(room)).toEqual(numbers(1, 90));
  expect(room.room.value.complete).toBe(true);
  await room.older();
  expect(w.api.requests).toEqual([
    { limit: 40, reverse: true }, { limit: 40, reverse: true, since: { epoch: "e", offset: 51 } }, { limit: 40, reverse: true, since: { epoch: "e", offset: 11 } },
  ]);
});

test("a page that the server ends early is not the last one", async () => {
  const w = newWorld();
  w.api.most = 25; // as it does for large messages
  w.api.appendAll("chat", 90);
  const room = await liveRoom(w);
  expect(textsIn(room)).toEqual(numbers(66, 90));
  expect(room.room.value.complete).toBe(false);
  while (!room.room.value.complete) await room.older();
  expect(textsIn(room)).toEqual(numbers(1, 90));
});

test("a trimmed log of exactly one page is known to be complete after an empty one", async () => {
  const w = newWorld();
  w.api.appendAll("chat", 90);
  w.api.trim("chat", 40);
  const room = await liveRoom(w);
  expect(room.room.value.complete).toBe(false);
  await room.older();
  expect(room.room.value.complete).toBe(true);
});

test("a page that does not lead further back is the last one", async () => {
  const w = newWorld();
  w.api.appendAll("chat", 90);
  const room = await liveRoom(w);
  const page = await w.api.history("chat", "", { limit: 40, reverse: true });
  w.api.history = async () => page;
  await room.older();
  expect(room.room.value.complete).toBe(true);
  expect(textsIn(room)).toEqual(numbers(51, 90));
});

test("changes in older pages count, and their positions are not taken for messages", async () => {
  const w = newWorld();
  w.api.append("chat", { content: "first" });
  w.api.append("chat", { type: "edit", of: "e.1", content: "edited" });
  w.api.appendAll("chat", 40);
  const room = await liveRoom(w);
  await room.older();
  expect(textsIn(room).slice(0, 2)).toEqual(["edited", "m3"]);
});

test("live messages wait for the first page, so that they are behind it", async () => {
  const w = newWorld();
  w.api.appendAll("chat", 2);
  let answer = () => {};
  w.api.hold = new Promise((resolve) => { answer = resolve; });
  const room = newRoom(w);
  room.open(() => {});
  await w.connection.subscribed("chat", at(2));
  w.connection.listener("chat").message({ data: { content: "live" }, epoch: "e", offset: 3, via: "sdk" });
  await w.clock.advance(200);
  expect(textsIn(room)).toEqual([]);
  answer();
  await w.clock.advance(50);
  expect(textsIn(room)).toEqual(["m1", "m2", "live"]);
});

test("live messages do not wait for older pages", async () => {
  const w = newWorld();
  w.api.appendAll("chat", 50);
  const room = await liveRoom(w);
  w.api.hold = new Promise(() => {});
  void room.older();
  live(w, { content: "live" });
  await w.clock.advance(16);
  expect([room.room.value.loading, textsIn(room).at(-1)]).toEqual([true, "live"]);
});

test("a burst is drawn once: after 16 ms, or 200 ms in a hidden tab", async () => {
  for (const [hidden, delay] of [[false, 16], [true, 200]] as const) {
    const w = newWorld();
    const arrived: string[][] = [];
    const room = await liveRoom(w, "lobby", { hidden: () => hidden, arrived: (_: RoomControl, m: readonly Message[]) => arrived.push(m.map((x) => x.text)) });
    live(w, { content: "a" });
    await w.clock.advance(delay - 1);
    live(w, { content: "b" });
    expect(textsIn(room)).toEqual([]);
    await w.clock.advance(1);
    expect(arrived).toEqual([["a", "b"]]);
    expect(textsIn(room)).toEqual(["a", "b"]);
  }
});

test("what arrives is new once; history, repetitions and changes are not news", async () => {
  const w = newWorld();
  w.api.appendAll("chat", 2);
  const arrived: string[] = [];
  const inLog: string[] = [];
  await liveRoom(w, "lobby", { arrived: (_: RoomControl, m: readonly Message[]) => arrived.push(...m.map((x) => x.text)), inLog: (m: readonly Message[]) => inLog.push(...m.map((x) => x.text)) });
  const entry = w.api.append("chat", { content: "new" });
  w.connection.listener("chat").message(entry);
  await w.clock.advance(16);
  w.connection.listener("chat").message(entry);
  live(w, { type: "edit", of: "e.3", content: "edited" });
  await w.clock.advance(16);
  expect(arrived).toEqual(["new"]);
  expect(inLog.slice(0, 3)).toEqual(["m1", "m2", "new"]);
});

test("a recovered channel asks for nothing (D3)", async () => {
  const w = newWorld();
  w.api.appendAll("chat", 3);
  const room = await liveRoom(w);
  w.api.appendAll("chat", 2);
  await w.connection.subscribed("chat", { ...at(5), recovered: true });
  expect(w.api.requests).toHaveLength(1);
  expect(textsIn(room)).toEqual(numbers(1, 3));
});

test("what is missing behind the first page is read, without a gap (D1)", async () => {
  const w = newWorld();
  w.api.appendAll("chat", 3);
  const room = await liveRoom(w);
  w.api.appendAll("chat", 250);
  await w.connection.subscribed("chat", at(253));
  expect(w.api.requests.slice(1)).toEqual([{ since: { epoch: "e", offset: 3 }, limit: 200 }, { since: { epoch: "e", offset: 203 }, limit: 200 }]);
  expect(textsIn(room)).toEqual(numbers(1, 253));
  expect(room.room.value.top).toBe(253);
});

test("a channel that is where the page ends asks for nothing", async () => {
  const w = newWorld();
  w.api.appendAll("chat", 3);
  await liveRoom(w);
  await w.connection.subscribed("chat", at(3));
  expect(w.api.requests).toHaveLength(1);
});

test("what the log no longer has is marked by a gap, and the newest page follows (D2)", async () => {
  const w = newWorld();
  w.api.appendAll("chat", 3);
  const room = await liveRoom(w);
  w.api.appendAll("chat", 100);
  w.api.trim("chat", 50);
  await w.connection.subscribed("chat", { ...at(103), gap: true });
  expect(textsIn(room)).toEqual(["m1", "m2", "m3", "gap", ...numbers(64, 103)]);
  expect(room.room.value).toMatchObject({ epoch: "e", top: 103 });
});

test("more than five pages are not read: a gap is marked", async () => {
  const w = newWorld();
  w.api.appendAll("chat", 1);
  const room = await liveRoom(w);
  w.api.appendAll("chat", 1_500);
  await w.connection.subscribed("chat", at(1_501));
  expect(w.api.requests.filter((r) => r.limit === 200)).toHaveLength(5);
  expect(textsIn(room)).toEqual([...numbers(1, 1_001), "gap", ...numbers(1_462, 1_501)]);
});

test("another epoch is a gap, and the room goes on in the new one (D10)", async () => {
  const w = newWorld();
  w.api.appendAll("chat", 2);
  const room = await liveRoom(w);
  room.room.value = { ...room.room.value, epoch: "lost", top: 9 };
  await w.connection.subscribed("chat", at(2));
  expect(w.api.requests[1]).toEqual({ since: { epoch: "lost", offset: 9 }, limit: 200 });
  expect(textsIn(room)).toEqual(["m1", "m2", "gap"]);
  expect(room.room.value).toMatchObject({ epoch: "e", top: 2 });
});

test("a log that is empty in its new epoch is where the room is then", async () => {
  const w = newWorld();
  const room = await liveRoom(w);
  room.room.value = { ...room.room.value, epoch: "lost", top: 9 };
  await w.connection.subscribed("chat", at(0));
  expect(room.room.value).toMatchObject({ epoch: "e", top: 0 });
  const { length } = w.api.requests;
  await w.connection.subscribed("chat", at(0));
  expect(w.api.requests).toHaveLength(length);
});

test("a gap that cannot be read is marked, and the next connection tries again", async () => {
  const w = newWorld();
  w.api.appendAll("chat", 1);
  const room = await liveRoom(w);
  w.api.append("chat", { content: "missed" });
  w.api.error = new TypeError("no network");
  await w.connection.subscribed("chat", at(2));
  expect(textsIn(room)).toEqual(["m1", "gap"]);
  w.api.error = null;
  await w.connection.subscribed("chat", at(2));
  expect(textsIn(room)).toEqual(["m1", "gap", "missed"]);
});

test("a room that was empty reads what came while it was away", async () => {
  const w = newWorld();
  const room = await liveRoom(w);
  w.api.appendAll("chat", 2);
  await w.connection.subscribed("chat", at(2));
  expect(textsIn(room)[0]).toBe("m1");
});

test("a page that failed is asked for again after 5 s, a quarter more or less", async () => {
  for (const [chance, delay] of [[0, 3_750], [0.5, 5_000]] as const) {
    const w = newWorld();
    w.clock.chance = chance;
    w.api.error = new TypeError("no network");
    const room = await open(w);
    expect(room.room.value).toMatchObject({ error: "history", loading: false, loaded: false });
    w.api.error = null;
    w.api.appendAll("chat", 1);
    await w.clock.advance(delay - 1);
    expect(textsIn(room)).toEqual([]);
    await w.clock.advance(1);
    expect(textsIn(room)).toEqual(["m1"]);
    expect(room.room.value).toMatchObject({ error: null, loaded: true });
  }
});

test("a page that failed is asked for when the channel goes live", async () => {
  const w = newWorld();
  w.api.error = refused(500);
  const room = await open(w);
  w.api.error = null;
  w.api.appendAll("chat", 1);
  await w.connection.subscribed("chat", at(1));
  expect(textsIn(room)).toEqual(["m1"]);
});

test("a log that may not be read is not asked for again; the channel may be live all the same", async () => {
  for (const status of [401, 403]) {
    const w = newWorld();
    w.api.error = refused(status);
    const room = await open(w);
    expect(room.room.value).toMatchObject({ error: "forbidden", loaded: true, complete: true });
    await w.clock.advance(60_000);
    expect(w.api.requests).toHaveLength(1);
  }
});

test("a channel that refuses the reader is forbidden until it admits them", async () => {
  for (const [code, error] of [[101, "forbidden"], [102, "forbidden"], [103, "forbidden"], [109, null]] as const) {
    const w = newWorld();
    const room = await liveRoom(w);
    w.connection.listener("chat").refused(code, "");
    expect(room.live.value).toBe(false);
    expect(room.room.value.error, String(code)).toBe(error);
    await w.connection.subscribed("chat");
    expect(room.live.value).toBe(true);
    expect(room.room.value.error).toBe(null);
  }
});

test("details that the door does not send are asked for once, for known messages alone", async () => {
  const w = newWorld();
  w.api.appendAll("chat", 5);
  const room = await liveRoom(w);
  const bare = (data: unknown) => {
    const { via, time, ...rest } = w.api.append("chat", data, { via: "plain", time: 77 });
    return rest;
  };
  w.connection.listener("chat").message(bare({ content: "a" }));
  await w.clock.advance(16);
  w.connection.listener("chat").message(bare({ content: "b" }));
  await w.clock.advance(16);
  w.api.append("chat", { content: "not here yet" });
  await w.clock.advance(133);
  expect(w.api.requests).toHaveLength(1);
  await w.clock.advance(1);
  expect(w.api.requests.slice(1)).toEqual([{ since: { epoch: "e", offset: 5 }, limit: 200 }]);
  expect(room.room.value.items.slice(-2)).toMatchObject([{ text: "a", via: "plain", time: 77 }, { text: "b", via: "plain", time: 77 }]);
  live(w, { content: "with all details" });
  await w.clock.advance(1_000);
  expect(w.api.requests).toHaveLength(2);
});

test("messages of a channel without a log are asked no details", async () => {
  const w = newWorld();
  const room = await liveRoom(w);
  w.connection.listener("chat").message({ data: { content: "x" } });
  await w.clock.advance(1_000);
  expect(textsIn(room)).toEqual(["x"]);
  expect(w.api.requests).toHaveLength(1);
});

test("the reader's messages are found by their ids, page after page", async () => {
  const w = newWorld();
  const room = await liveRoom(w);
  w.api.appendAll("chat", 600);
  w.api.append("chat", { content: "x", id: "mine" }, { info: { user: "me" } });
  w.api.append("chat", { content: "x", id: "theirs" });
  const ids = new Set(["mine", "theirs", "lost"]);
  expect([...await room.find({ epoch: "e", offset: 0 }, ids)]).toEqual(["mine"]);
  expect(w.api.requests.filter((r) => r.limit === 500)).toEqual([{ since: { epoch: "e", offset: 0 }, limit: 500 }, { since: { epoch: "e", offset: 500 }, limit: 500 }]);
  expect([...await room.find(null, ids)]).toEqual(["mine"]);
  expect(w.api.requests.at(-1)).toEqual({ limit: 500, reverse: true });
  expect((await room.find({ epoch: "", offset: 0 }, ids)).size).toBe(1); // an empty room has no position yet
});

test("a room that was never opened has nothing unread; one that was counts from its mark", async () => {
  const w = newWorld();
  w.api.appendAll("chat", 5);
  const first = await liveRoom(w);
  expect([first.mark.value, first.unread.value]).toEqual([{ epoch: "e", offset: 5 }, 0]);
  const second = await liveRoom(w, "lobby", {}, { epoch: "e", offset: 2 });
  expect([second.mark.value, second.unread.value]).toEqual([{ epoch: "e", offset: 2 }, 3]);
  second.readAll();
  expect([second.mark.value, second.unread.value]).toEqual([{ epoch: "e", offset: 5 }, 0]);
});

test("a change that comes live and again from the log counts once", async () => {
  const w = newWorld();
  w.api.append("chat", { content: "hi" });
  const room = await liveRoom(w);
  const on = w.api.append("chat", { type: "reaction", of: "e.1", emoji: "👍" });
  const off = w.api.append("chat", { type: "reaction", of: "e.1", emoji: "👍", on: false });
  for (const entry of [on, off, on]) w.connection.listener("chat").message(entry);
  await w.clock.advance(16);
  expect(room.room.value.items).toMatchObject([{ reactions: [] }]);
  expect(room.room.value.top).toBe(3); // an entry that is no message moves the position
});

test("who publishes a message is no longer typing", async () => {
  const w = newWorld();
  const room = await liveRoom(w);
  room.typing.value = new Map([["user bob", { name: "Bob", until: 9e12 }], ["user cy", { name: "Cy", until: 9e12 }]]);
  live(w, { content: "done" });
  await w.clock.advance(16);
  expect([...room.typing.value.keys()]).toEqual(["user cy"]);
});

test("ready is told behind what was missed; presence is told at once", async () => {
  const w = newWorld();
  w.api.appendAll("chat", 1);
  const told: string[] = [];
  const room = newRoom(w, "lobby", { ready: (r: RoomControl) => told.push(`ready with ${r.room.value.items.length}`) });
  room.open(() => told.push("presence"));
  await microtasks();
  w.api.appendAll("chat", 1);
  await w.connection.subscribed("chat", at(2));
  w.connection.listener("chat").presenceChanged!();
  expect(told).toEqual(["presence", "ready with 2", "presence"]);
});

test("a closed room asks nothing, waits for nothing and has no presence", async () => {
  const w = newWorld();
  const room = await liveRoom(w);
  const { via, ...bare } = w.api.append("chat", { content: "x" });
  w.connection.listener("chat").message(bare);
  await w.clock.advance(16);
  live(w, { content: "y" });
  room.close();
  expect(w.connection.channels).toEqual([]);
  expect(w.clock.waiting).toBe(0);
  await expect(room.presence()).rejects.toThrow("not open");
});

test("a room that goes live before its first page is there is ready with the page", async () => {
  const w = newWorld();
  w.api.append("chat", { content: "one" });
  let answer = () => {};
  w.api.hold = new Promise((resolve) => { answer = resolve; });
  const told: number[] = [];
  const room = newRoom(w, "lobby", { ready: (r: RoomControl) => told.push(r.room.value.items.length) });
  room.open(() => {});
  await w.connection.subscribed("chat", at(1));
  expect(told).toEqual([]);
  answer();
  await microtasks();
  expect(told.at(-1)).toBe(1);
});

test("what was published between the first page and the subscription is read", async () => {
  const w = newWorld();
  w.api.append("chat", { content: "m1" });
  const room = newRoom(w);
  const old = await w.api.history("chat", "", { limit: 40, reverse: true });
  const history = w.api.history.bind(w.api);
  let answer = () => {};
  w.api.history = () => new Promise((resolve) => { answer = () => resolve(old); });
  room.open(() => {});
  w.api.append("chat", { content: "m2" }); // behind the page, before the subscription
  await w.connection.subscribed("chat", at(2));
  w.api.history = history;
  answer();
  await microtasks();
  expect(textsIn(room)).toEqual(["m1", "m2"]);
});

test("a first page that comes with a retry makes the room ready, too", async () => {
  const w = newWorld();
  w.api.error = new TypeError("no network");
  let ready = 0;
  const room = newRoom(w, "lobby", { ready: () => { ready++; } });
  room.open(() => {});
  await w.connection.subscribed("chat", at(0));
  expect(ready).toBe(0);
  w.api.error = null;
  await w.clock.advance(10_000);
  expect(ready).toBe(1);
});

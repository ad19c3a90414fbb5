// The reader's messages: in order, once, and never lost (D4).

import { expect, test } from "vitest";
import type { RoomControl } from "../../src/control/room.ts";
import { Sender } from "../../src/control/sender.ts";
import { load } from "../../src/state/outbox.ts";
import { memoryStore, microtasks, refused } from "../fakes.ts";
import { liveRoom, newRoom, newWorld, pendingIn, type World } from "./setup.ts";

const author = { user: "me", client: "", name: "Me", color: 0, guest: false, stamped: true, moderator: false };
const mine = { info: { user: "me" } };

async function newSender(world: World = newWorld(), store = memoryStore()) {
  const rooms = new Map<string, RoomControl>();
  const sender = new Sender(store, "outbox.a", {
    ...world, room: (name) => rooms.get(name), author: () => author, reason: (code, text) => `${code} ${text}`,
  });
  const options = { inLog: sender.inLog.bind(sender) };
  const add = async (name: string) => rooms.set(name, await liveRoom(world, name, options)).get(name)!;
  return { ...world, store, sender, add, rooms, lobby: await add("lobby"), outbox: () => load(store.get("outbox.a")) };
}
const sent = (w: World, channel = "chat") => w.connection.dataIn(channel).map((d) => (d as { content: string }).content);

test("messages are sent in order, each after the answer to the one before", async () => {
  const s = await newSender();
  s.sender.send("lobby", "a", null);
  s.sender.send("lobby", "b", "e.1");
  expect(sent(s)).toEqual(["a"]);
  expect(pendingIn(s.lobby)).toEqual([["a", "sending"], ["b", "waiting"]]);
  await s.connection.published[0]!.answer();
  expect(sent(s)).toEqual(["a", "b"]);
  expect(s.connection.published[0]!.data).not.toHaveProperty("re");
  expect(s.connection.published[1]!.data).toMatchObject({ re: "e.1" });
});

test("nothing is sent without a connection, a live channel and the first page", async () => {
  const s = await newSender();
  s.connection.online = false;
  s.sender.send("lobby", "a", null);
  expect(sent(s)).toEqual([]);
  s.connection.online = true;
  s.lobby.live.value = false;
  s.sender.sendNext();
  expect(sent(s)).toEqual([]);
  s.lobby.live.value = true;
  s.lobby.room.value = { ...s.lobby.room.value, loaded: false };
  s.sender.sendNext();
  expect(sent(s)).toEqual([]);
  s.lobby.room.value = { ...s.lobby.room.value, loaded: true };
  s.sender.sendNext();
  expect(sent(s)).toEqual(["a"]);
  s.sender.sendNext();
  expect(sent(s)).toEqual(["a"]); // not twice
});

test("the outbox is stored before anything is sent, and empty when all is in the log", async () => {
  const s = await newSender();
  s.sender.send("lobby", "a", null);
  expect(s.outbox()).toMatchObject([{ content: "a", state: "unsure", since: { epoch: "", offset: 0 }, written: s.clock.now() }]);
  await s.connection.published[0]!.answer();
  expect(s.store.get("outbox.a")).toBe(null);
});

test("when an answer was lost and the log has the message, it is not sent again", async () => {
  const s = await newSender();
  s.sender.send("lobby", "a", null);
  s.api.append("chat", s.connection.published[0]!.data, mine);
  await s.connection.published[0]!.refuse(1, "timeout");
  expect(pendingIn(s.lobby)).toEqual([["a", "waiting"]]);
  await s.clock.advance(1_000);
  expect(sent(s)).toEqual(["a"]);
  expect(s.outbox()).toEqual([]);
});

test("when an answer was lost and the log does not have the message, it is sent again with its id", async () => {
  const s = await newSender();
  s.sender.send("lobby", "a", null);
  // Somebody else's message with that id proves nothing.
  s.api.append("chat", s.connection.published[0]!.data, { info: { user: "eve" } });
  await s.connection.published[0]!.refuse(99);
  await s.clock.advance(1_000);
  expect(s.connection.published).toHaveLength(2);
  expect(s.connection.published[1]!.data).toEqual(s.connection.published[0]!.data);
});

test("where the log may not be read the message is sent again; where it cannot be read now, later", async () => {
  const s = await newSender();
  s.sender.send("lobby", "a", null);
  await s.connection.published[0]!.refuse(1);
  s.api.error = new TypeError("no network");
  await s.clock.advance(1_000);
  expect(sent(s)).toEqual(["a"]);
  expect(s.outbox()).toMatchObject([{ state: "unsure" }]);
  s.api.error = refused(403);
  await s.clock.advance(1_999);
  expect(sent(s)).toEqual(["a"]);
  await s.clock.advance(1);
  expect(sent(s)).toEqual(["a", "a"]);
});

test("a message that the server cannot take now is sent again after 1, 2, 5, 10 and 10 s; a success starts anew", async () => {
  const s = await newSender();
  s.sender.send("lobby", "a", null);
  let n = 0;
  for (const [code, delay] of [[100, 1_000], [111, 2_000], [100, 5_000], [100, 10_000], [100, 10_000]] as const) {
    await s.connection.published[n++]!.refuse(code);
    await s.clock.advance(delay - 1);
    expect(s.connection.published, `${delay} ms`).toHaveLength(n);
    await s.clock.advance(1);
    expect(s.connection.published, `${delay} ms`).toHaveLength(n + 1);
  }
  expect(s.api.requests.filter((r) => r.limit === 500)).toEqual([]); // no answer was lost
  await s.connection.published[n++]!.answer();
  s.sender.send("lobby", "b", null);
  await s.connection.published[n++]!.refuse(100);
  await s.clock.advance(1_000);
  expect(s.connection.published).toHaveLength(n + 1);
});

test("while it waits for a retry nothing else is sent", async () => {
  const s = await newSender();
  s.sender.send("lobby", "a", null);
  await s.connection.published[0]!.refuse(111);
  s.sender.send("lobby", "b", null);
  s.sender.sendNext();
  expect(sent(s)).toEqual(["a"]);
});

test("a refused message stays with its reason until the reader retries or discards it; the next one goes on", async () => {
  const s = await newSender();
  s.sender.send("lobby", "a", null);
  s.sender.send("lobby", "b", null);
  await s.connection.published[0]!.refuse(103, "denied");
  expect(s.lobby.room.value.pending[0]).toMatchObject({ text: "a", sendState: "failed", reason: "103 denied" });
  expect(sent(s)).toEqual(["a", "b"]);
  await s.connection.published[1]!.answer();
  const { id } = s.outbox()[0]!;
  s.sender.retry(id);
  expect(s.connection.published[2]!.data).toEqual(s.connection.published[0]!.data);
  await s.connection.published[2]!.refuse(103);
  s.sender.discard(id);
  expect(s.outbox()).toEqual([]);
  expect(pendingIn(s.lobby)).toEqual([["b", "sent"]]);
});

test("a connection that is lost makes what was being sent unsure", async () => {
  const s = await newSender();
  s.sender.send("lobby", "a", null);
  s.sender.interrupted();
  expect(pendingIn(s.lobby)).toEqual([["a", "waiting"]]);
  s.api.append("chat", s.connection.published[0]!.data, mine);
  await s.connection.published[0]!.refuse(3);
  await s.clock.advance(1_000);
  expect(sent(s)).toEqual(["a"]);
});

test("an acknowledged message is shown as sent until it arrives, for 10 s at the most", async () => {
  const s = await newSender();
  s.sender.send("lobby", "a", null);
  s.sender.send("lobby", "b", null);
  await s.connection.published[0]!.answer();
  await s.connection.published[1]!.answer();
  expect(pendingIn(s.lobby)).toEqual([["a", "sent"], ["b", "sent"]]);
  s.connection.listener("chat").message(s.api.append("chat", s.connection.published[0]!.data, mine));
  await s.clock.advance(16);
  expect(pendingIn(s.lobby)).toEqual([["b", "sent"]]);
  s.sender.showPending("lobby"); // "a" does not come back
  expect(pendingIn(s.lobby)).toEqual([["b", "sent"]]);
  await s.clock.advance(9_983);
  expect(pendingIn(s.lobby)).toEqual([["b", "sent"]]);
  await s.clock.advance(1);
  expect(pendingIn(s.lobby)).toEqual([]);
});

test("each acknowledged message has its own 10 s", async () => {
  const s = await newSender();
  s.sender.send("lobby", "a", null);
  await s.connection.published[0]!.answer();
  await s.clock.advance(5_000);
  s.sender.send("lobby", "b", null);
  await s.connection.published[1]!.answer();
  await s.clock.advance(5_000);
  expect(pendingIn(s.lobby)).toEqual([["b", "sent"]]);
});

test("a message that arrives before the answer leaves the outbox at once", async () => {
  const s = await newSender();
  s.sender.send("lobby", "a", null);
  s.connection.listener("chat").message(s.api.append("chat", s.connection.published[0]!.data, mine));
  await s.clock.advance(16);
  expect(s.outbox()).toEqual([]);
  await s.connection.published[0]!.answer();
  expect(pendingIn(s.lobby)).toEqual([]);
});

test("what made the server close the connection fails; what was not sent yet waits on", async () => {
  const s = await newSender();
  s.sender.send("lobby", "a", null);
  s.sender.send("lobby", "b", null);
  s.sender.interrupted();
  s.sender.tooLarge("too long");
  expect(s.lobby.room.value.pending.map((m) => [m.text, m.sendState, m.reason])).toEqual([["a", "failed", "too long"], ["b", "waiting", undefined]]);
});

test("the outbox of a closed tab is taken over, before one's own", async () => {
  const store = memoryStore();
  const before = await newSender(newWorld(), store);
  before.connection.online = false;
  before.sender.send("lobby", "old", null);
  store.set("outbox.b", store.get("outbox.a"));
  store.set("outbox.a", null);
  const s = await newSender(newWorld(), store);
  s.connection.online = false;
  s.sender.send("lobby", "new", null);
  s.connection.online = true;
  s.sender.adopt("outbox.b");
  expect(store.get("outbox.b")).toBe(null);
  expect(s.outbox().map((e) => e.content)).toEqual(["old", "new"]);
  expect(sent(s)).toEqual(["old"]);
  expect(s.sender.rooms).toEqual(["lobby"]);
});

test("rooms have their own order, and one room shows only its own messages", async () => {
  const s = await newSender();
  const ops = await s.add("ops");
  s.sender.send("lobby", "a", null);
  s.sender.send("ops", "x", null);
  expect(pendingIn(ops)).toEqual([["x", "waiting"]]);
  expect(pendingIn(s.lobby)).toEqual([["a", "sending"]]);
  await s.connection.published[0]!.refuse(103);
  expect(sent(s, "chat:ops")).toEqual(["x"]);
});

test("a room that cannot be sent to does not hold up the others", async () => {
  const s = await newSender();
  const ops = await s.add("ops");
  ops.live.value = false;
  s.sender.send("ops", "x", null);
  s.sender.send("never opened", "y", null);
  s.sender.send("lobby", "a", null);
  expect([sent(s), sent(s, "chat:ops")]).toEqual([["a"], []]);
  await s.connection.published[0]!.answer();
  ops.live.value = true;
  s.sender.sendNext();
  expect(sent(s, "chat:ops")).toEqual(["x"]);
});

test("a room is shown what waits for it when it is opened later", async () => {
  const s = await newSender();
  s.sender.send("ops", "x", null);
  const ops = newRoom(s, "ops");
  s.rooms.set("ops", ops);
  s.sender.showPending("ops");
  expect(pendingIn(ops)).toEqual([["x", "waiting"]]);
  await microtasks();
  expect(sent(s, "chat:ops")).toEqual([]);
});

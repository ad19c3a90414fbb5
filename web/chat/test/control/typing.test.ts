// Who types: sent at most every 3 s, valid for 5 s, for one room at a time.

import { expect, test } from "vitest";
import { TypingControl } from "../../src/control/typing.ts";
import { liveRoom, newWorld } from "./setup.ts";

const by = (user: string) => ({ data: { type: "typing" }, info: { user, conn_info: { name: user.toUpperCase() } } });

async function setup() {
  const w = newWorld();
  const typing = new TypingControl({ ...w, self: () => "user me", nameOf: (a) => a.name ?? "?" });
  const room = await liveRoom(w);
  typing.watch(room);
  await w.connection.subscribed("typing:lobby");
  await w.clock.advance(0);
  return { ...w, typing, room, says: (user: string) => w.connection.listener("typing:lobby").message(by(user)), names: () => [...room.typing.value.values()].map((x) => x.name) };
}

test("the reader's typing is published at most every 3 s, and at once after a message", async () => {
  const s = await setup();
  const count = () => s.connection.dataIn("typing:lobby").length;
  s.typing.typed();
  s.typing.typed();
  await s.clock.advance(2_999);
  s.typing.typed();
  expect(count()).toBe(1);
  await s.clock.advance(1);
  s.typing.typed();
  expect(count()).toBe(2);
  s.typing.sent();
  s.typing.typed();
  expect(count()).toBe(3);
  expect(s.connection.dataIn("typing:lobby")[0]).toEqual({ type: "typing" });
});

test("nothing is published without a connection, and what fails is not repeated", async () => {
  const s = await setup();
  s.connection.online = false;
  s.typing.typed();
  expect(s.connection.published).toEqual([]);
  s.connection.online = true;
  s.typing.typed();
  await s.connection.published[0]!.refuse(103);
  await s.clock.advance(60_000);
  expect(s.connection.published).toHaveLength(1);
});

test("each typist is shown for 5 s after the last message", async () => {
  const s = await setup();
  s.says("ann");
  await s.clock.advance(2_000);
  s.says("bo");
  expect(s.names()).toEqual(["ANN", "BO"]);
  await s.clock.advance(2_999);
  expect(s.names()).toEqual(["ANN", "BO"]);
  await s.clock.advance(1);
  expect(s.names()).toEqual(["BO"]);
  s.says("bo");
  await s.clock.advance(4_999);
  expect(s.names()).toEqual(["BO"]);
  await s.clock.advance(1);
  expect(s.names()).toEqual([]);
  expect(s.clock.waiting).toBe(0);
});

test("the reader is not shown, nor is anything that is not a typing message", async () => {
  const s = await setup();
  s.says("me");
  s.connection.listener("typing:lobby").message({ data: { content: "hi" }, info: { user: "ann" } });
  s.connection.listener("typing:lobby").message({ data: null, info: { user: "ann" } });
  s.connection.listener("typing:lobby").message({ data: { type: "read" }, info: { user: "ann" } });
  expect(s.names()).toEqual([]);
});

test("what was missed is not shown: those people are no longer typing", async () => {
  const s = await setup();
  await s.connection.subscribed("typing:lobby", { recovered: true });
  s.says("ann");
  expect(s.names()).toEqual([]);
  await s.clock.advance(0);
  s.says("ann");
  expect(s.names()).toEqual(["ANN"]);
});

test("one room at a time: the old channel is left, and its late messages are dropped", async () => {
  const s = await setup();
  s.typing.typed();
  const old = s.connection.listener("typing:lobby");
  const ops = await liveRoom(s, "ops");
  s.typing.watch(ops);
  expect(s.connection.channels).not.toContain("typing:lobby");
  old.message(by("ann"));
  expect(s.names()).toEqual([]);
  s.typing.typed(); // a new room is told at once
  expect(s.connection.dataIn("typing:ops")).toHaveLength(1);
});

test("a room that was left keeps no typist", async () => {
  const s = await setup();
  s.says("ann");
  const ops = await liveRoom(s, "ops");
  s.typing.watch(ops);
  await s.connection.subscribed("typing:ops");
  await s.clock.advance(0);
  s.connection.listener("typing:ops").message(by("bo"));
  expect([s.names(), [...ops.typing.value.keys()]]).toEqual([[], ["user bo"]]);
  await s.clock.advance(5_000);
  expect([s.names(), [...ops.typing.value.keys()]]).toEqual([[], []]);
});

// Who is in the open room (P4), and what is said of their coming and going.

import { expect, test } from "vitest";
import { PresenceControl } from "../../src/control/presence.ts";
import type { PublisherInfo } from "../../src/state/message.ts";
import { liveRoom, newWorld } from "./setup.ts";

const clients = (...users: string[]): Record<string, PublisherInfo> =>
  Object.fromEntries(users.map((user, i) => [`client ${i}`, { user, conn_info: { name: user.toUpperCase() } }]));

async function setup() {
  const w = { ...newWorld(), hidden: false };
  const presence = new PresenceControl({ ...w, hidden: () => w.hidden, self: () => "user me", nameOf: (a) => a.name ?? "?" });
  const room = await liveRoom(w);
  const are = (...users: string[]) => { w.connection.presence.set("chat", clients(...users)); };
  const names = () => [...(room.members.value ?? new Map()).keys()];
  const note = () => {
    const last = room.room.value.items.at(-1);
    return last?.kind === "presence" ? [last.joined, last.left] : null;
  };
  are("me", "ann");
  presence.watch(room);
  return Object.assign(w, { presence, room, are, names, note });
}

test("the first answer comes after 150 ms, the next ones every second", async () => {
  const s = await setup();
  await s.clock.advance(149);
  expect(s.connection.presenceRequests).toBe(0);
  await s.clock.advance(1);
  expect(s.names()).toEqual(["user me", "user ann"]);
  await s.clock.advance(999);
  expect(s.connection.presenceRequests).toBe(1);
  await s.clock.advance(1);
  expect(s.connection.presenceRequests).toBe(2);
});

test("a large room is asked for less often: 50 ms a person, 15 s at the most", async () => {
  for (const [people, interval] of [[20, 1_000], [100, 5_000], [1_000, 15_000]] as const) {
    const s = await setup();
    s.are(...Array.from({ length: people }, (_, i) => `u${i}`));
    await s.clock.advance(150 + interval - 1);
    expect(s.connection.presenceRequests, `${people} people`).toBe(1);
    await s.clock.advance(1);
    expect(s.connection.presenceRequests, `${people} people`).toBe(2);
  }
});

test("several changes at once are one request", async () => {
  const s = await setup();
  await s.clock.advance(150);
  for (let i = 0; i < 5; i++) s.presence.refreshSoon();
  await s.clock.advance(150);
  expect(s.connection.presenceRequests).toBe(2);
});

test("a hidden tab, a lost connection and a channel that is not live ask for nothing, and go on later", async () => {
  const s = await setup();
  for (const [off, on] of [
    [() => { s.hidden = true; }, () => { s.hidden = false; }],
    [() => { s.connection.online = false; }, () => { s.connection.online = true; }],
    [() => { s.room.live.value = false; }, () => { s.room.live.value = true; }],
  ] as const) {
    const before = s.connection.presenceRequests;
    off();
    await s.clock.advance(10_000);
    expect(s.connection.presenceRequests).toBe(before);
    on();
    await s.clock.advance(1_000);
    expect(s.connection.presenceRequests).toBe(before + 1);
  }
});

test("a refused request changes nothing, and is made again", async () => {
  const s = await setup();
  await s.clock.advance(150);
  s.connection.presence.clear();
  await s.clock.advance(3_000);
  expect(s.names()).toEqual(["user me", "user ann"]);
  expect(s.connection.presenceRequests).toBe(4);
});

test("who was there before is no news; who joins is named at once, but not the reader", async () => {
  const s = await setup();
  s.are("ann");
  await s.clock.advance(150);
  expect(s.note()).toBe(null);
  s.are("ann", "me", "bo");
  await s.clock.advance(1_000);
  expect(s.note()).toEqual([["BO"], []]);
});

test("who is gone leaves the list at once, and is named after 6 s", async () => {
  const s = await setup();
  await s.clock.advance(150);
  s.are("me");
  await s.clock.advance(1_000);
  expect(s.names()).toEqual(["user me"]);
  await s.clock.advance(5_000);
  expect(s.note()).toBe(null);
  await s.clock.advance(1_000);
  expect(s.note()).toEqual([[], ["ANN"]]);
  await s.clock.advance(60_000);
  expect(s.note()).toEqual([[], ["ANN"]]); // once
});

test("who is back within 6 s has not left, however often", async () => {
  const s = await setup();
  await s.clock.advance(150);
  for (let i = 0; i < 4; i++) {
    s.are("me");
    await s.clock.advance(4_000);
    s.are("me", "ann");
    await s.clock.advance(1_000);
  }
  expect(s.note()).toBe(null);
});

test("a list that shows the same is not drawn again; a second session is shown", async () => {
  const s = await setup();
  await s.clock.advance(150);
  const before = s.room.members.value;
  await s.clock.advance(1_000);
  expect(s.room.members.value).toBe(before);
  s.are("me", "ann", "ann");
  await s.clock.advance(1_000);
  expect(s.room.members.value!.get("user ann")!.sessions).toBe(2);
  s.connection.presence.set("chat", { a: { user: "me", conn_info: { name: "ME" } }, b: { user: "ann", conn_info: { name: "Anna" } }, c: { user: "ann" } });
  await s.clock.advance(1_000);
  expect(s.room.members.value!.get("user ann")!.author.name).toBe("Anna");
});

test("another room starts anew, and the old one is asked for no more", async () => {
  const s = await setup();
  await s.clock.advance(150);
  const ops = await liveRoom(s, "ops");
  s.connection.presence.set("chat:ops", clients("me", "cy", "di"));
  s.presence.watch(ops);
  s.are("me", "ann", "eve");
  await s.clock.advance(2_000);
  expect([...ops.members.value!.keys()]).toEqual(["user me", "user cy", "user di"]);
  expect(ops.room.value.items).toEqual([]); // nobody joined: they were there
  expect(s.names()).toEqual(["user me", "user ann"]);
});

test("who was away from another room has not left this one", async () => {
  const s = await setup();
  await s.clock.advance(150);
  s.are("me"); // ann is missing in the lobby
  await s.clock.advance(1_000);
  const ops = await liveRoom(s, "ops");
  s.connection.presence.set("chat:ops", clients("me", "ann"));
  s.presence.watch(ops);
  await s.clock.advance(8_150);
  s.connection.presence.set("chat:ops", clients("me"));
  await s.clock.advance(2_000);
  expect(ops.room.value.items).toEqual([]);
});

test("an answer that comes after the room was changed is dropped", async () => {
  const s = await setup();
  let answer = (_: Record<string, PublisherInfo>) => {};
  s.room.presence = () => new Promise((resolve) => { answer = resolve; });
  await s.clock.advance(150);
  const ops = await liveRoom(s, "ops");
  s.presence.watch(ops);
  answer(clients("me", "ann"));
  await s.clock.advance(10);
  expect(s.room.members.value).toBe(null);
});

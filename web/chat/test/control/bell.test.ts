// The bell: what it counts, what all devices know, and whom it believes.

import { expect, test } from "vitest";
import { BellControl } from "../../src/control/bell.ts";
import { unreadCount } from "../../src/state/bell.ts";
import { memoryStore, microtasks } from "../fakes.ts";
import { newWorld, type World } from "./setup.ts";

const channel = "user:42";
const server = { info: undefined, via: "http" };

function setup(world: World = newWorld(), store = memoryStore(), personal = "user:") {
  const w = { ...world, store, user: "42", arrived: [] as string[] };
  const bell = new BellControl({ ...world, store, personal, token: () => "token", user: () => w.user, arrived: (n) => w.arrived.push(n.title) });
  return Object.assign(w, {
    bell,
    titles: () => bell.bell.value.notices.map((n) => n.title),
    unread: () => unreadCount(bell.bell.value),
    notice: (title: string, more = {}) => world.api.append(channel, { title }, { ...server, ...more }),
  });
}
async function opened(world?: World, store = memoryStore()) {
  const s = setup(world, store);
  s.bell.serverSubscribed(channel);
  await microtasks();
  return s;
}

test("the log is read when the channel is live, with what was read of it", async () => {
  const s = setup();
  s.notice("One");
  s.notice("Two");
  s.api.append(channel, { type: "read", upto: 1, epoch: "e" }, { info: { user: "42" } });
  s.notice("Three");
  s.bell.serverSubscribed(channel);
  await microtasks();
  expect(s.api.requests).toEqual([{ limit: 200, reverse: true }]);
  expect(s.titles()).toEqual(["Three", "Two", "One"]);
  expect(s.unread()).toBe(2);
  expect(s.arrived).toEqual([]); // history is no news
});

test("a live notice counts, and is told once", async () => {
  const s = await opened();
  const entry = s.notice("One", { time: undefined });
  s.bell.serverMessage(channel, entry);
  s.bell.serverMessage(channel, entry);
  s.bell.serverMessage("news", s.notice("elsewhere"));
  expect([s.titles(), s.unread(), s.arrived]).toEqual([["One"], 1, ["One"]]);
  expect(s.bell.bell.value.notices[0]!.time).toBe(s.clock.now());
});

test("what another device has read is read here, and rings nothing", async () => {
  const s = await opened();
  s.bell.serverMessage(channel, s.notice("One"));
  s.bell.serverMessage(channel, s.notice("Two"));
  s.bell.serverMessage(channel, s.api.append(channel, { type: "read", upto: 2, epoch: "e" }, { info: { user: "42" } }));
  expect([s.unread(), s.arrived]).toEqual([0, ["One", "Two"]]);
  s.bell.serverMessage(channel, { ...s.notice("late"), offset: 1.5 });
  expect(s.arrived).toEqual(["One", "Two"]); // behind the mark
});

test("notices and marks of other users count for nothing (X9)", async () => {
  const s = await opened();
  s.bell.serverMessage(channel, s.notice("forged", { info: { user: "eve" } }));
  s.bell.serverMessage(channel, s.notice("by nobody", { info: { client: "c" } }));
  s.bell.serverMessage(channel, s.notice("One"));
  s.bell.serverMessage(channel, s.api.append(channel, { type: "read", upto: 9 }, { info: { user: "eve" } }));
  s.bell.serverMessage(channel, s.api.append(channel, { type: "read", upto: 9 }, { info: { client: "c" } }));
  expect([s.titles(), s.unread()]).toEqual([["One"], 1]);
});

test("reading all is told to the other devices and kept here", async () => {
  const s = await opened();
  s.bell.readAll();
  expect(s.connection.published).toEqual([]); // there is nothing to read
  s.bell.serverMessage(channel, s.notice("One"));
  s.bell.serverMessage(channel, s.notice("Two"));
  s.bell.readAll();
  expect(s.connection.dataIn(channel)).toEqual([{ type: "read", upto: 2, epoch: "e" }]);
  expect(s.unread()).toBe(0);
  await s.connection.published[0]!.refuse(103); // where the rules forbid it
  const next = await opened(s, s.store);
  expect([next.titles(), next.unread()]).toEqual([["Two", "One"], 0]);
});

test("a stored mark that is broken is none", async () => {
  for (const mark of ['{"epoch":"e"}', '{"read":9}', "null", "x"]) {
    const s = setup(newWorld(), memoryStore({ "bell.42": mark }));
    s.notice("One");
    s.bell.serverSubscribed(channel);
    await microtasks();
    expect(s.unread(), mark).toBe(1);
  }
});

test("a log that cannot be read leaves the live notices", async () => {
  const s = setup();
  s.api.error = new TypeError("no network");
  s.bell.serverSubscribed(channel);
  await microtasks();
  s.bell.serverMessage(channel, s.notice("One"));
  expect([s.titles(), s.unread()]).toEqual([["One"], 1]);
});

test("a server that does not subscribe the user by itself is asked after 300 ms, once", async () => {
  const s = setup();
  s.notice("One");
  s.bell.connected();
  await s.clock.advance(299);
  expect(s.connection.channels).toEqual([]);
  await s.clock.advance(1);
  expect(s.connection.channels).toEqual([channel]);
  await s.connection.subscribed(channel);
  expect(s.titles()).toEqual(["One"]);
  s.connection.listener(channel).message(s.notice("Two"));
  expect(s.arrived).toEqual(["Two"]);
  let subscribed = 0;
  s.connection.subscribe = () => { subscribed++; return { presence: async () => ({}), unsubscribe() {} }; };
  s.bell.connected();
  await s.clock.advance(300);
  expect(subscribed).toBe(0);
});

test("the prefix is the server's: a channel that ends with the user's name is another's", async () => {
  const s = setup(newWorld(), memoryStore(), "private-");
  s.bell.connected();
  s.bell.serverSubscribed("team-42");
  s.bell.serverSubscribed("user:42");
  await microtasks();
  expect(s.api.requests).toEqual([]);
  s.bell.serverSubscribed("private-42");
  await s.clock.advance(300);
  expect(s.connection.channels).toEqual([]); // the server has subscribed already
  s.bell.serverMessage("team-42", s.notice("for the team"));
  s.bell.serverMessage("private-42", s.notice("One"));
  expect(s.titles()).toEqual(["One"]);
});

test("a server without personal channels has no bell", async () => {
  const s = setup(newWorld(), memoryStore(), "");
  s.bell.connected();
  s.bell.serverSubscribed("42");
  await s.clock.advance(300);
  expect([s.connection.channels, s.api.requests]).toEqual([[], []]);
});

test("a channel that is not the user's is none of the bell's", async () => {
  const s = setup();
  s.bell.serverSubscribed("news");
  await microtasks();
  expect(s.api.requests).toEqual([]);
});

test("nobody has no bell", async () => {
  const s = setup();
  s.user = "";
  s.bell.serverSubscribed("news"); // by the token's claim
  s.bell.connected();
  await s.clock.advance(300);
  expect([s.connection.channels, s.api.requests]).toEqual([[], []]);
});

test("another user starts with an empty bell; a late answer for the one before is dropped", async () => {
  const s = setup();
  s.notice("for 42");
  let answer = () => {};
  s.api.hold = new Promise((resolve) => { answer = resolve; });
  s.bell.serverSubscribed(channel);
  s.user = "43";
  s.bell.serverSubscribed("user:43");
  answer();
  await microtasks();
  expect(s.titles()).toEqual([]);
  s.user = "42";
  s.bell.serverSubscribed(channel);
  await microtasks();
  expect(s.titles()).toEqual(["for 42"]);
  s.user = "43";
  s.bell.serverSubscribed("user:43");
  expect(s.titles()).toEqual([]);
});

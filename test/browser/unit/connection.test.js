// The connection of the first page, driven by hand: no socket, no real time.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, isFinal, Refused } from "../../../internal/web/assets/connection.js";
import { createClock, settle } from "./clock.js";

// A connection whose sockets the test opens, feeds and closes.
async function start({ random = () => 0.999, prepare = async () => "ws://x/" } = {}) {
  const clock = createClock();
  const sockets = [];
  const states = [];
  const frames = [];
  const connection = connect({
    prepare,
    open(url) {
      const socket = { url, readyState: 0, sent: [], closed: false, send: (t) => socket.sent.push(t), close: () => { socket.closed = true; } };
      sockets.push(socket);
      return socket;
    },
    clock,
    random,
    onFrame: (text) => frames.push(text),
    onState: (state) => states.push(state),
  });
  await settle();
  const last = () => sockets.at(-1);
  const up = () => { last().readyState = 1; last().onopen(); };
  const down = (code = 1006) => { last().readyState = 3; last().onclose({ code, reason: "" }); };
  return { clock, sockets, states, frames, connection, last, up, down };
}

const delay = ({ states, clock }) => states.at(-1).until - clock.now();

test("each loss doubles the window, up to 20 seconds, and the whole window is drawn from", async () => {
  const c = await start({ random: () => 1 });
  const windows = [];
  for (let i = 0; i < 8; i++) {
    c.down();
    windows.push(delay(c));
    await c.clock.pass(delay(c));
  }
  assert.deepEqual(windows, [500, 1000, 2000, 4000, 8000, 16000, 20000, 20000]);

  const early = await start({ random: () => 0 });
  early.down();
  assert.equal(delay(early), 0);
});

test("only a connection that held for five seconds starts the window again", async () => {
  const c = await start({ random: () => 1 });
  c.up();
  c.down();
  assert.equal(delay(c), 500);
  await c.clock.pass(500);
  c.up();
  await c.clock.pass(4_999);
  c.down();
  assert.equal(delay(c), 1000, "short: the window goes on doubling");
  await c.clock.pass(1000);
  c.up();
  await c.clock.pass(5_000);
  c.down();
  assert.equal(delay(c), 500, "stable: the window starts again");
});

test("codes 4500 to 4999 end it, all others come back", async () => {
  assert.deepEqual([4499, 4500, 4999, 5000, 1006, 1001, 4000].map(isFinal), [false, true, true, false, false, false, false]);
  const c = await start();
  c.up();
  c.down(4504);
  assert.deepEqual(c.states.at(-1), { name: "stopped", code: 4504, reason: "" });
  await c.clock.pass(120_000);
  assert.equal(c.sockets.length, 1);
  c.connection.retry();
  await settle();
  assert.equal(c.sockets.length, 2, "the reader may still ask for it");
});

test("a refused preparation ends it, a failed one is tried again", async () => {
  const refused = await start({ prepare: async () => { throw new Refused(); } });
  assert.deepEqual(refused.states.at(-1), { name: "stopped", refused: true });

  let tries = 0;
  const failed = await start({ prepare: async () => { if (++tries < 3) throw new Error("down"); return "ws://x/"; } });
  assert.equal(failed.states.at(-1).name, "waiting");
  await failed.clock.pass(5_000);
  assert.deepEqual([tries, failed.sockets.length], [3, 1]);
});

test("the preparation hears that the last socket was shut before it opened", async () => {
  const heard = [];
  const c = await start({ prepare: async (shut) => { heard.push(shut); return "ws://x/"; } });
  c.down();
  await c.clock.pass(500);
  c.up();
  c.down();
  await c.clock.pass(1_000);
  assert.deepEqual(heard, [false, true, false]);
});

test("a socket that never opens is given up after ten seconds", async () => {
  const c = await start();
  await c.clock.pass(9_999);
  assert.equal(c.last().closed, false);
  await c.clock.pass(1);
  assert.equal(c.sockets[0].closed, true);
  assert.equal(c.states.at(-1).name, "waiting");
});

test("frames arrive in order, and none from a socket that was left", async () => {
  const c = await start();
  c.up();
  const first = c.last();
  const hear = first.onmessage;
  first.onmessage({ data: "1" });
  c.connection.refresh();
  await settle();
  hear({ data: "late" });
  c.up();
  c.last().onmessage({ data: "2" });
  assert.deepEqual(c.frames, ["1", "2"]);
  assert.equal(first.closed, true);
});

test("send tells whether the frame went out", async () => {
  const c = await start();
  assert.equal(c.connection.send("early"), false);
  c.up();
  assert.equal(c.connection.send("hello"), true);
  c.down();
  assert.equal(c.connection.send("late"), false);
  assert.deepEqual(c.last().sent, ["hello"]);
});

test("retry is at once, once, and leaves an open socket alone", async () => {
  const c = await start();
  c.up();
  c.connection.retry();
  await settle();
  assert.equal(c.sockets.length, 1);
  c.down();
  c.connection.retry();
  await settle();
  await c.clock.pass(400);
  assert.equal(c.sockets.length, 2, "the timer of the loss is gone");
});

test("after stop nothing is heard and no timer is left", async () => {
  const c = await start();
  c.up();
  const { onmessage } = c.last();
  c.connection.stop();
  onmessage({ data: "late" });
  assert.deepEqual(c.frames, []);
  assert.equal(c.clock.waiting(), 0);
  assert.equal(c.last().closed, true);
});

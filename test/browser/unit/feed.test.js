// What the reader sees of a channel: every message once and in order (D1, D2),
// and a mark where that was impossible.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createFeed, HistoryError } from "../../../internal/web/assets/feed.js";
import { settle } from "./clock.js";

const message = (offset, epoch = "a") => ({ channel: "chat", offset, epoch, data: `${epoch}${offset}` });
const messages = (from, to, epoch) => Array.from({ length: to - from + 1 }, (_, i) => message(from + i, epoch));
const history = (from, to, epoch = "a") => ({ messages: messages(from, to, epoch), position: { epoch, offset: to } });
const gap = (from, now) => ({ gap: { channel: "chat", reason: "trimmed", from, now } });

// A feed over a list of answers: an object is a history, an Error a failure, a
// promise is waited for.
function start(...answers) {
  const seen = [];
  const errors = [];
  const feed = createFeed({
    readHistory: async () => {
      const answer = await answers.shift();
      if (answer instanceof Error) throw answer;
      return answer;
    },
    onRow: (row) => seen.push(row.kind === "gap" ? (row.filled ? "gap" : "hole") : row.message.data),
    onError: (error) => errors.push(error.code),
  });
  return { feed, seen, errors, hear: (...frames) => frames.forEach((f) => feed.frame(JSON.stringify(f))) };
}

test("history comes first, the socket goes on from its position", async () => {
  const { feed, seen, hear } = start(history(3, 5));
  assert.equal(feed.since(), "");
  await feed.ready();
  assert.equal(feed.since(), "a.5");
  hear(message(6), message(7));
  assert.deepEqual(seen, ["a3", "a4", "a5", "a6", "a7"]);
  assert.equal(feed.since(), "a.7");
});

test("an empty log still names its position", async () => {
  const { feed } = start({ messages: [], position: { epoch: "a", offset: 0 } });
  await feed.ready();
  assert.equal(feed.since(), "a.0");
});

test("what comes twice is shown once", async () => {
  const { feed, seen, hear } = start(history(1, 2));
  await feed.ready();
  hear(message(2), message(3), message(3), message(1), message(4));
  assert.deepEqual(seen, ["a1", "a2", "a3", "a4"]);
});

test("the history is read once, and again after it failed", async () => {
  const { feed, seen } = start(new HistoryError(503), history(1, 1), history(1, 9));
  await assert.rejects(feed.ready(), { status: 503 });
  await feed.ready();
  await feed.ready();
  assert.deepEqual(seen, ["a1"]);
});

test("a channel without a log shows everything and resumes nowhere (D9)", async () => {
  const { feed, seen, hear } = start({ messages: [], position: null });
  await feed.ready();
  hear({ channel: "chat", data: "x" }, { channel: "chat", data: "x" });
  assert.deepEqual(seen, ["x", "x"]);
  assert.equal(feed.since(), "");
});

test("a gap is marked and what the log still has follows it", async () => {
  const { feed, seen, hear } = start(history(1, 2), history(50, 61));
  await feed.ready();
  hear(gap({ epoch: "a", offset: 2 }, { epoch: "a", offset: 60 }));
  hear(message(61), message(62));
  await settle();
  assert.deepEqual(seen, ["a1", "a2", "gap", ...messages(50, 60).map((m) => m.data), "a61", "a62"]);
  assert.equal(feed.since(), "a.62");
});

test("a new timeline starts after a gap with all that it holds (D10)", async () => {
  const { feed, seen, hear } = start(history(1, 7), history(1, 3, "b"));
  await feed.ready();
  hear(gap({ epoch: "a", offset: 7 }, { epoch: "b", offset: 3 }), message(4, "b"));
  await settle();
  assert.deepEqual(seen.slice(7), ["gap", "b1", "b2", "b3", "b4"]);
});

test("a gap that cannot be filled says so and the feed goes on", async () => {
  const { feed, seen, hear } = start(history(1, 2), new HistoryError(0));
  await feed.ready();
  hear(gap({ epoch: "a", offset: 2 }, { epoch: "a", offset: 60 }), message(61));
  await settle();
  assert.deepEqual(seen, ["a1", "a2", "hole", "a61"]);
});

test("a reconnect while a gap is filled neither repeats the gap nor a message", async () => {
  let answer;
  const late = new Promise((resolve) => { answer = resolve; });
  const { feed, seen, hear } = start(history(1, 2), late);
  await feed.ready();
  hear(gap({ epoch: "a", offset: 2 }, { epoch: "a", offset: 60 }), message(61));
  assert.equal(feed.since(), "a.60", "the next socket starts behind the gap");
  hear(message(61), message(62)); // as that socket's replay
  answer(history(60, 60));
  await settle();
  assert.deepEqual(seen, ["a1", "a2", "gap", "a60", "a61", "a62"]);
});

test("errors are told, and what is not a frame is left alone", async () => {
  const { feed, seen, errors, hear } = start(history(1, 1));
  await feed.ready();
  hear({ error: { code: 103, message: "no" } }, null, 7, "text");
  feed.frame("{broken");
  assert.deepEqual(errors, [103]);
  assert.deepEqual(seen, ["a1"]);
});

// Promises of a room's state: order, once each, marks for what is missing.

import { expect, test } from "vitest";
import { type Message, read } from "../../src/state/message.ts";
import { emptyRoom, type Room, withChange, withGap, withMessages, withOlder, withPending, withPosition, withPresenceNote } from "../../src/state/room.ts";
import { cpuTime } from "../cpu.ts";
import { ann, bob, change, message } from "../messages.ts";

const texts = (room: Room) => room.items.map((i) => (i.kind === "message" ? i.text : i.kind));
const room = (...messages: Message[]) => withMessages(emptyRoom("lobby"), messages);

test("messages stand in the log's order, each once, however they come (D1)", () => {
  let r = room(message(5), message(6));
  r = withMessages(r, [message(6), message(7), message(3)]);
  r = withMessages(r, [message(4), message(2)]);
  expect(texts(r)).toEqual(["m2", "m3", "m4", "m5", "m6", "m7"]);
  expect(r.top).toBe(7);
});

test("older pages stand before all that is known, and nothing twice", () => {
  let r = room(message(41), message(42));
  r = withOlder(r, [message(39), message(40), message(41)], false);
  expect(texts(r)).toEqual(["m39", "m40", "m41", "m42"]);
  expect(r.complete).toBe(false);
  r = withOlder(r, [message(38)], true);
  expect(texts(r)[0]).toBe("m38");
  expect(r.complete).toBe(true);
});

test("a new epoch goes on behind a gap, with offsets that begin anew (D10)", () => {
  let r = withGap(room(message(8)));
  r = withMessages(r, [message(1, { epoch: "f" }), message(2, { epoch: "f" })]);
  expect(texts(r)).toEqual(["m8", "gap", "m1", "m2"]);
  expect([r.epoch, r.top]).toEqual(["f", 2]);
  expect(withGap(emptyRoom("x")).items).toEqual([]);
});

test("messages of a channel without a log stand in the order of their coming (D9)", () => {
  let r = room(message(0, { data: "a" }));
  const second = read({ data: "b" }, "live b", 1);
  r = withMessages(r, "message" in second ? [second.message] : []);
  expect(texts(r)).toEqual(["a", "b"]);
});

test("one's own message takes the place of the one that waits", () => {
  const pending = { ...message(0, { data: { content: "hi", id: "x1" } }), key: "x1", sendState: "sending" as const };
  let r = withPending(room(message(1)), [pending]);
  r = withMessages(r, [message(2, { data: { content: "hi", id: "x1" } })]);
  expect(r.pending).toEqual([]);
  expect(texts(r)).toEqual(["m1", "hi"]);
});

test("a retry that stands in the log twice is shown once; the same id from somebody else is not a retry (D4)", () => {
  const r = room(message(1, { data: { content: "hi", id: "x" } }), message(2, { data: { content: "hi", id: "x" } }), message(3, { data: { content: "other", id: "x" }, info: bob }));
  expect(texts(r)).toEqual(["hi", "other"]);
});

test("edits and deletions count from the author alone, by the server's word", () => {
  let r = room(message(1), message(2, { info: bob }));
  r = withChange(r, change(3, { type: "edit", of: "e.1", content: "forged" }, bob));
  expect(texts(r)).toEqual(["m1", "m2"]);
  r = withChange(r, change(4, { type: "edit", of: "e.1", content: "mended" }));
  expect(r.items[0]).toMatchObject({ text: "mended", edited: true });
  r = withChange(r, change(5, { type: "delete", of: "e.2" }));
  expect(r.items[1]).toMatchObject({ deleted: false });
  r = withChange(r, change(6, { type: "delete", of: "e.2" }, bob));
  expect(r.items[1]).toMatchObject({ deleted: true, text: "" });
  r = withChange(r, change(7, { type: "edit", of: "e.2", content: "back" }, bob));
  expect(r.items[1]).toMatchObject({ deleted: true, text: "" });
});

test("nobody edits what a program wrote by claiming its name", () => {
  let r = room(message(1, { info: undefined, data: { content: "deploy", name: "ci" } }));
  r = withChange(r, change(2, { type: "edit", of: "e.1", content: "forged", name: "ci" }, { user: "", connInfo: {} } as never));
  expect(texts(r)).toEqual(["deploy"]);
});

test("a moderator may edit and delete; a claim in the payload makes nobody one", () => {
  const mod = { user: "mia", connInfo: { name: "Mia", moderator: true } } as never;
  let r = withChange(room(message(1)), change(2, { type: "delete", of: "e.1", moderator: true }, bob));
  expect(r.items[0]).toMatchObject({ deleted: false });
  r = withChange(r, change(3, { type: "delete", of: "e.1" }, mod));
  expect(r.items[0]).toMatchObject({ deleted: true });
});

test("a change that comes before its message waits for it", () => {
  let r = withChange(room(message(9)), change(10, { type: "edit", of: "e.3", content: "mended" }));
  r = withOlder(r, [message(3)], false);
  expect(texts(r)).toEqual(["mended", "m9"]);
});

test("reactions count once for a person and can be taken back", () => {
  let r = room(message(1));
  const react = (offset: number, on: boolean, info = ann) => { r = withChange(r, change(offset, { type: "reaction", of: "e.1", emoji: "👍", on }, info)); };
  react(2, true);
  react(3, true);
  react(4, true, bob);
  expect(r.items[0]).toMatchObject({ reactions: [{ emoji: "👍", users: ["user ann", "user bob"] }] });
  react(5, false);
  react(6, false, bob);
  expect(r.items[0]).toMatchObject({ reactions: [] });
});

test("who comes and goes stands in one line until somebody speaks", () => {
  let r = withPresenceNote(room(message(1)), ["Ann"], []);
  r = withPresenceNote(r, ["Bo"], ["Cy"]);
  expect(r.items.at(-1)).toMatchObject({ joined: ["Ann", "Bo"], left: ["Cy"] });
  r = withPresenceNote(r, ["Cy"], ["Bo"]);
  expect(r.items.at(-1)).toMatchObject({ joined: ["Ann"], left: [] });
  r = withPresenceNote(r, [], ["Ann"]);
  expect(texts(r)).toEqual(["m1"]);
});

test("details that come later are withDetails in", () => {
  let r = room(message(1, { info: undefined }));
  expect(r.items[0]).toMatchObject({ via: null });
  r = withMessages(r, [message(1, { via: "plain", time: 77, info: undefined })]);
  expect(r.items[0]).toMatchObject({ via: "plain", time: 77 });
  expect(r.items.length).toBe(1);
});

test("ten thousand messages are no burden", () => {
  let r = emptyRoom("lobby");
  const took = cpuTime(() => {
    for (let i = 0; i < 250; i++) r = withOlder(r, Array.from({ length: 40 }, (_, j) => message(10_000 - (i + 1) * 40 + j + 1)), false);
  });
  expect(r.items.length).toBe(10_000);
  expect(took / 250).toBeLessThan(40);
});

test("the same change twice counts once", () => {
  const react = change(2, { type: "reaction", of: "e.1", emoji: "👍" });
  const takeBack = change(3, { type: "reaction", of: "e.1", emoji: "👍", on: false });
  let r = [react, takeBack].reduce(withChange, room(message(1)));
  expect(withChange(r, react)).toBe(r);
  expect(r.items[0]).toMatchObject({ reactions: [] });
  // Also when it waits for its message.
  r = [react, takeBack, react].reduce(withChange, room(message(9)));
  r = withOlder(r, [message(1)], true);
  expect(r.items[0]).toMatchObject({ key: "e.1", reactions: [] });
});

test("a change of something that is not there changes no item, and its position is known", () => {
  const r = withChange(room(message(1)), change(2, { type: "delete", of: "e.9" }));
  expect(texts(r)).toEqual(["m1"]);
  expect(r.keys.has("e.2")).toBe(true);
});

test("a gap that is filled puts its messages in their place, also around other items (D1)", () => {
  let r = room(message(1), message(2));
  r = withMessages(r, [message(8)]);
  r = withPresenceNote(r, ["Cy"], []);
  r = withMessages(r, [message(5), message(4), message(6)]);
  expect(texts(r)).toEqual(["m1", "m2", "m4", "m5", "m6", "m8", "presence"]);
});

test("a message without a log is the newest, wherever it comes", () => {
  let r = withMessages(room(message(5)), [message(0)]);
  r = withMessages(r, [message(6), { ...message(0), key: "live 2", text: "second" }]);
  expect(texts(r)).toEqual(["m5", "m0", "m6", "second"]);
});

test("older messages of a live batch stand in front, in order", () => {
  expect(texts(withMessages(room(message(5)), [message(3), message(6), message(2)]))).toEqual(["m2", "m3", "m5", "m6"]);
});

test("a gap is marked once, and only behind a message", () => {
  const r = withGap(room(message(1)));
  expect(withGap(r)).toBe(r);
  const note = withPresenceNote(emptyRoom("x"), ["Ann"], []);
  expect(withGap(note)).toBe(note);
  expect(texts(withGap(withPresenceNote(room(message(1)), ["Ann"], [])))).toEqual(["m1", "presence", "gap"]);
});

test("the position is the newest entry's: not an older one's, not an older epoch's, not that of a message without a log", () => {
  let r = room(message(5));
  for (const entry of [{ epoch: "e", offset: 3 }, { epoch: "old", offset: 9 }, { epoch: "", offset: 0 }]) expect(withPosition(r, [entry])).toBe(r);
  r = withPosition(r, [{ epoch: "e", offset: 6 }]);
  expect([r.epoch, r.top]).toEqual(["e", 6]);
  r = withPosition(withGap(r), [{ epoch: "f", offset: 1 }]); // behind a gap a new epoch goes on
  expect([r.epoch, r.top]).toEqual(["f", 1]);
  expect(withPosition(emptyRoom("x"), [{ epoch: "e", offset: 2 }])).toMatchObject({ epoch: "e", top: 2 });
});

test("only the message with that id leaves what waits", () => {
  const waiting = (id: string) => ({ ...message(0, { data: { content: id, id } }), key: id, sendState: "waiting" as const });
  const r = withMessages(withPending(room(), [waiting("a"), waiting("b")]), [message(1, { data: { content: "a", id: "a" } }), message(2)]);
  expect(r.pending.map((m) => m.id)).toEqual(["b"]);
});

test("details do not overwrite what is known", () => {
  const r = withMessages(room(message(1, { via: "http", time: 5 })), [message(1, { via: "plain", time: 9 })]);
  expect(r.items[0]).toMatchObject({ via: "http", time: 5 });
});

test("people are named once in a note; a new note begins behind a message", () => {
  let r = withPresenceNote(room(message(1)), ["Ann", "Ann"], []);
  expect(withPresenceNote(r, [], [])).toBe(r);
  expect(r.items.at(-1)).toMatchObject({ joined: ["Ann"], left: [] });
  const { key } = r.items.at(-1)!;
  r = withPresenceNote(r, ["Bo"], []);
  expect(r.items.at(-1)!.key).toBe(key);
  r = withPresenceNote(withMessages(r, [message(2)]), ["Cy"], []);
  expect(r.items.filter((i) => i.kind === "presence").map((i) => i.joined)).toEqual([["Ann", "Bo"], ["Cy"]]);
  expect(new Set(r.items.map((i) => i.key)).size).toBe(r.items.length);
});

import { expect, test } from "vitest";
import { add, failed, interrupted, load, next, type Outbox, save, sending, remove, unsure, waiting } from "../../src/state/outbox.ts";

const entry = (id: string, room = "lobby") => ({ id, room, content: id, re: null, written: 1 });
const box = (...ids: string[]): Outbox => ids.reduce<Outbox>((b, id) => add(b, entry(id)), []);
const place = { epoch: "e", offset: 3 };

test("entries leave in the order of writing, one at a time in a room", () => {
  let b = box("a", "b");
  expect(next(b)?.id).toBe("a");
  b = sending(b, "a", place);
  expect(next(b)).toBe(null);
  b = add(b, entry("c", "other"));
  expect(next(b)?.id).toBe("c");
  b = remove(b, "a");
  expect(next(b)?.id).toBe("b");
});

test("a lost answer leaves the entry unsure, at its place, with the place of the first try", () => {
  let b = unsure(sending(box("a", "b"), "a", place), "a");
  expect(next(b)).toMatchObject({ id: "a", state: "unsure", since: place });
  b = sending(b, "a", { epoch: "e", offset: 99 });
  expect(b[0]!.since).toEqual(place);
});

test("what the server refuses stays and does not hold up the rest", () => {
  let b = failed(sending(box("a", "b"), "a", place), "a", "too long");
  expect(next(b)?.id).toBe("b");
  expect(b[0]).toMatchObject({ state: "failed", reason: "too long" });
  b = waiting(b, "a");
  expect(next(b)).toMatchObject({ id: "a", reason: "" }); // the same id: never a double
});

test("it survives a reload; what was on its way is unsure then", () => {
  const b = sending(box("a", "b"), "a", place);
  expect(load(save(b))).toEqual(interrupted(b));
  expect(next(load(save(b)))).toMatchObject({ id: "a", state: "unsure" });
});

test("anything else on the shelf is an empty outbox", () => {
  for (const text of [null, "", "{}", "[1]", '[{"id":1}]', "not json", '[{"id":"a","room":"r","content":"c","written":1,"reason":"","re":null,"state":"odd","since":null}]', "null"]) {
    expect(load(text)).toEqual([]);
  }
});

test("removing what is not there changes nothing", () => {
  const b = box("a");
  expect(remove(b, "x")).toBe(b);
});

test("a room that cannot be sent to is passed over", () => {
  const b = add(add([], entry("a", "closed")), entry("b", "open"));
  expect(next(b, (room) => room === "open")?.id).toBe("b");
  expect(next(b, () => false)).toBe(null);
});

test("the newest 200 are kept over a reload", () => {
  const b = load(save(box(...Array.from({ length: 210 }, (_, i) => `${i}`))));
  expect([b.length, b[0]!.id]).toEqual([200, "10"]);
});

test("marks change the entry with that id and no other", () => {
  const b = box("a", "b");
  for (const changed of [sending(b, "b", place), unsure(b, "b"), waiting(b, "b"), failed(b, "b", "x")]) expect(changed[0]).toEqual(b[0]);
  expect(interrupted(b)).toBe(b);
});

// Storage that may be forbidden, full, or written by somebody else.

import { expect, test } from "vitest";
import { Store } from "../../src/client/store.ts";
import { memoryStore } from "../fakes.ts";

test("values have names of their own, and can be removed", () => {
  const store = memoryStore();
  store.set("a.1", "x");
  store.set("a.2", "y");
  store.set("b", "z");
  expect([store.get("a.1"), store.get("c"), store.names("a.").sort()]).toEqual(["x", null, ["a.1", "a.2"]]);
  store.set("a.1", null);
  expect([store.get("a.1"), store.names("a.")]).toEqual([null, ["a.2"]]);
});

test("JSON of another shape, or none at all, gives the fallback", () => {
  const isNumber = (v: unknown): v is number => typeof v === "number";
  const store = memoryStore({ good: "7", shape: '"7"', broken: "{" });
  expect(["good", "shape", "broken", "missing"].map((name) => store.getJSON(name, 0, isNumber))).toEqual([7, 0, 0, 0]);
  store.setJSON("made", { a: 1 });
  expect(store.get("made")).toBe('{"a":1}');
});

test("where storage is forbidden nothing is kept and nothing fails", () => {
  const store = new Store(() => { throw new DOMException("denied", "SecurityError"); });
  store.set("a", "x");
  store.set("a", null);
  expect([store.get("a"), store.getJSON("a", 1, (v): v is number => v !== null), store.names("")]).toEqual([null, 1, []]);
});

test("only names with the prefix are the app's", () => {
  const storage = { "other": "1", "magpie.a": "2" } as unknown as Storage;
  expect(new Store(() => storage).names("")).toEqual(["a"]);
});

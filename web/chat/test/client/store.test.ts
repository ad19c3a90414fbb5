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

test("where storage is forbidden values live as long as the page", () => {
  const store = new Store(() => { throw new DOMException("denied", "SecurityError"); });
  store.set("a", "x");
  store.set("b", "y");
  expect([store.get("a"), store.getJSON("a", 1, (v): v is number => v !== null), store.names("")]).toEqual(["x", 1, ["a", "b"]]);
  store.set("a", null);
  expect([store.get("a"), store.names("")]).toEqual([null, ["b"]]);
});

test("where storage is full the new value counts, not the one that is stored", () => {
  const stored: Record<string, string> = { "magpie.a": "old", "magpie.b": "kept" };
  let isFull = true;
  const storage = Object.defineProperties(stored, {
    getItem: { value: (k: string) => stored[k] ?? null },
    setItem: { value: (k: string, v: string) => { if (isFull) throw new DOMException("", "QuotaExceededError"); stored[k] = v; } },
    removeItem: { value: (k: string) => { delete stored[k]; } },
  }) as unknown as Storage;
  const store = new Store(() => storage);
  store.set("a", "new");
  expect([store.get("a"), store.names("").sort()]).toEqual(["new", ["a", "b"]]);
  isFull = false;
  store.set("a", "newer");
  expect([store.get("a"), stored["magpie.a"]]).toEqual(["newer", "newer"]);
});

test("only names with the prefix are the app's", () => {
  const storage = { "other": "1", "magpie.a": "2" } as unknown as Storage;
  expect(new Store(() => storage).names("")).toEqual(["a"]);
});

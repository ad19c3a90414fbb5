import { expect, test } from "vitest";
import { nextExpiry, throttle, withoutExpired, withoutTypist, withTypist, type Typing } from "../../src/state/typing.ts";

test("typing is sent at most every 3 s and valid for 5 s", () => {
  const may = throttle();
  expect([0, 2_999, 3_000, 5_000, 6_000].map(may)).toEqual([true, false, true, false, true]);
  let t = withTypist(new Map(), "user a", "Ann", 1_000);
  expect(withoutExpired(t, 5_999)).toBe(t);
  expect(withoutExpired(t, 6_000).size).toBe(0);
  expect(nextExpiry(t)).toBe(6_000);
  t = withTypist(t, "user b", "Bo", 2_000);
  expect([...withoutTypist(t, "user a").keys()]).toEqual(["user b"]);
});

test("50 people type at most; who is known stays", () => {
  let t: Typing = new Map();
  for (let i = 0; i < 60; i++) t = withTypist(t, `user ${i}`, `${i}`, 0);
  expect(t.size).toBe(50);
  expect(withTypist(t, "user 7", "7", 1_000).get("user 7")!.until).toBe(6_000);
  expect(nextExpiry(withTypist(withTypist(new Map(), "a", "a", 5), "b", "b", 3))).toBe(5_003);
  expect(nextExpiry(new Map())).toBe(null);
  expect(withoutTypist(t, "somebody else")).toBe(t);
});

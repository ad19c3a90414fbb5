// Promises of the browser that misbehave in every way they can.

import { expect, test } from "vitest";
import { within } from "../../src/client/deadline.ts";
import { FakeClock, microtasks } from "../fakes.ts";

const resultOf = async (clock: FakeClock, f: () => PromiseLike<string> | string) => {
  const seen = { value: "" };
  void within(clock, 1_000, "fallback", f).then((v) => { seen.value = v; });
  await microtasks();
  return seen;
};

test("what resolves in time is the result, and no timer is left", async () => {
  const clock = new FakeClock();
  expect(await resultOf(clock, async () => "answer")).toEqual({ value: "answer" });
  expect(await resultOf(clock, () => "value")).toEqual({ value: "value" });
  expect(clock.waiting).toBe(0);
});

test("what rejects or throws at once gives the fallback at once", async () => {
  const clock = new FakeClock();
  expect(await resultOf(clock, () => Promise.reject(new DOMException("", "SecurityError")))).toEqual({ value: "fallback" });
  expect(await resultOf(clock, () => { throw new DOMException("", "SecurityError"); })).toEqual({ value: "fallback" });
  expect(clock.waiting).toBe(0);
});

test("what never resolves gives the fallback at the deadline, and what comes later is not heard", async () => {
  const clock = new FakeClock();
  let resolve = (_: string) => {};
  const seen = await resultOf(clock, () => new Promise((r) => { resolve = r; }));
  await clock.advance(999);
  expect(seen.value).toBe("");
  await clock.advance(1);
  expect(seen.value).toBe("fallback");
  resolve("late");
  await microtasks();
  expect(seen.value).toBe("fallback");
});

import { expect, test } from "vitest";
import { pinned, type Scroll, type ScrollEvent, step } from "../../src/state/scroll.ts";
import { atEnd, afterAppend, pageDown, range, pageUp, type Window } from "../../src/state/window.ts";

const run = (from: Scroll, ...events: ScrollEvent[]) => events.reduce<readonly [Scroll, string]>(([s], e) => step(s, e), [from, ""]);
const reading: Scroll = { at: "reading", unseen: 0 };
const news = (count: number, own = false): ScrollEvent => ({ type: "appended", count, own });

test("at the end the list follows what comes", () => {
  expect(run(pinned, news(3))).toEqual([pinned, "follow"]);
});

test("100 px from the end is still the end; 101 px is reading", () => {
  expect(run(pinned, { type: "scrolled", fromEnd: 100 })[0]).toEqual(pinned);
  expect(run(pinned, { type: "scrolled", fromEnd: 101 })[0]).toEqual(reading);
});

test("who reads is never moved, and what comes is counted", () => {
  expect(run(reading, news(2), news(0), news(3))).toEqual([{ at: "reading", unseen: 5 }, "hold"]);
  expect(run({ at: "reading", unseen: 5 }, { type: "scrolled", fromEnd: 900 })[0]).toEqual({ at: "reading", unseen: 5 });
});

test("one's own message goes to the end from anywhere", () => {
  expect(run(reading, news(0, true))).toEqual([{ at: "jumping" }, "follow"]);
});

test("a jump keeps going while the list grows, and pins where it arrives", () => {
  const [s] = run({ at: "reading", unseen: 4 }, { type: "jump" }, { type: "scrolled", fromEnd: 700 }, news(2));
  expect(s).toEqual({ at: "jumping" });
  expect(run(s, { type: "arrived" })[0]).toEqual(pinned);
  expect(run(s, { type: "scrolled", fromEnd: 0 })[0]).toEqual(pinned);
});

test("coming back to the end forgets the count", () => {
  expect(run({ at: "reading", unseen: 4 }, { type: "scrolled", fromEnd: 0 })[0]).toEqual(pinned);
});

const size = (w: Window, total: number) => range(w, total)[1] - range(w, total)[0];

test("the window stays under 160 items wherever the reader goes", () => {
  let w = atEnd;
  for (let i = 0; i < 400; i++) {
    w = pageUp(w, 10_000);
    expect(size(w, 10_000)).toBeLessThanOrEqual(160);
  }
  expect(range(w, 10_000)[0]).toBe(0);
  expect(pageUp(w, 10_000)).toBe(w);
  for (let i = 0; i < 400; i++) {
    w = pageDown(w);
    expect(size(w, 10_000)).toBeLessThanOrEqual(160);
  }
  expect(range(w, 10_000)[1]).toBe(10_000);
  expect(pageDown(w)).toBe(w);
});

test("rows that come in at either end leave the reader's rows in the window", () => {
  let w: Window = { fromEnd: 100, size: 120 };
  expect(range(w, 1_000)).toEqual([780, 900]);
  expect(range(w, 1_040)).toEqual([820, 940]); // 40 older ones came in: the same rows
  w = afterAppend(w, 500, false);
  expect(range(w, 1_500)).toEqual([780, 900]);
});

test("near the end the window grows until it is full, then what comes waits", () => {
  let w = atEnd;
  for (let i = 1; i <= 300; i++) {
    w = afterAppend(w, 1, false);
    expect(range(w, 1_000 + i)[0]).toBe(920);
  }
  expect(size(w, 1_300)).toBe(160);
  expect(afterAppend(w, 5, true).fromEnd).toBe(0);
});

test("a page further is 40 items, and what is left when there are fewer", () => {
  expect(range(pageUp(atEnd, 1_000), 1_000)).toEqual([880, 1_000]);
  expect(range(pageUp(atEnd, 90), 90)).toEqual([0, 90]);
  expect(pageDown({ fromEnd: 10, size: 100 })).toEqual({ fromEnd: 0, size: 110 });
  expect(afterAppend(atEnd, 0, false)).toBe(atEnd);
  expect(range(atEnd, 5)).toEqual([0, 5]);
});

test("nothing new, and what comes while jumping, does not change the state", () => {
  expect(run({ at: "jumping" }, news(2))).toEqual([{ at: "jumping" }, "follow"]);
  expect(run(pinned, news(0))[0]).toBe(pinned);
});

import { expect, test } from "vitest";
import { bannerFor, stateAfter } from "../../src/state/connection.ts";

test("the banner waits 2 s, counts down, and a failed attempt does not start it again", () => {
  const since = 10_000;
  const waiting = { name: "waiting", since, until: 16_000 } as const;
  expect(bannerFor(waiting, 11_999, true, true)).toEqual({ say: "nothing" });
  expect(bannerFor(waiting, 12_000, true, true)).toEqual({ say: "waiting", seconds: 4, retry: true });
  expect(bannerFor({ name: "connecting", since }, 13_000, true, true)).toMatchObject({ say: "reconnecting" });
  expect(bannerFor({ name: "connecting", since }, 13_000, true, false)).toMatchObject({ say: "connecting" });
  expect(bannerFor(waiting, 13_000, false, true)).toMatchObject({ say: "offline" });
  expect(bannerFor({ name: "online", client: "c" }, 99_000, true, true)).toEqual({ say: "nothing" });
  expect(bannerFor({ name: "stopped", code: 3500, reason: "" }, since, true, true)).toMatchObject({ say: "stopped", retry: true });
  expect(stateAfter(waiting, { name: "connecting", since: 20_000 })).toEqual({ name: "connecting", since });
  expect(stateAfter({ name: "online", client: "c" }, { name: "connecting", since: 20_000 })).toEqual({ name: "connecting", since: 20_000 });
});

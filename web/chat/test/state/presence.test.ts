import { expect, test } from "vitest";
import { difference, membersOf, sorted } from "../../src/state/presence.ts";

test("presence has one entry for a person, whatever the number of tabs", () => {
  const before = membersOf({ c1: { user: "ann" }, c2: { user: "ann" }, c3: { user: "bob" } });
  expect(before.size).toBe(2);
  expect(before.get("user ann")!.sessions).toBe(2);
  const after = membersOf({ c2: { user: "ann" }, c4: { user: "cy" } });
  const { joined, left } = difference(before, after);
  expect([joined.map((m) => m.person), left.map((m) => m.person)]).toEqual([["user cy"], ["user bob"]]);
  expect(membersOf({ c1: {}, c2: {} }).size).toBe(2); // nobody known: each is somebody
});

test("the list has signed-in people first, then names in order, then a fixed order", () => {
  const guest = (name: string) => ({ user: `g:${name}`, conn_info: { name, guest: true } });
  const members = membersOf({ a: guest("Zoe"), b: { user: "2", conn_info: { name: "Bo" } }, c: guest("Al"), d: { user: "1", conn_info: { name: "Bo" } }, e: { user: "3", conn_info: { name: "Ann" } } });
  const order = sorted(members, (a, b) => (a < b ? -1 : a > b ? 1 : 0)).map((m) => m.person);
  expect(order).toEqual(["user 3", "user 1", "user 2", "user g:Al", "user g:Zoe"]);
});

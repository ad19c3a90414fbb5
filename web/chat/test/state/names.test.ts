import { expect, test } from "vitest";
import { channelOf, pathOf, roomAt, roomName, typingChannelOf } from "../../src/state/names.ts";

test("rooms have addresses and channels", () => {
  expect(roomName("#Plans for May")).toBe("plans-for-may");
  expect(roomName("项目")).toBe("项目");
  for (const bad of ["", "  ", "a/b", "<b>", "-x", "x".repeat(81), "a\u202eb", "a{b}", "a?b"]) expect(roomName(bad)).toBe(null);
  expect(channelOf("lobby")).toBe("chat");
  expect(channelOf("ops")).toBe("chat:ops");
  expect(roomAt(pathOf("项目"))).toBe("项目");
  for (const odd of ["/", "/r/", "/r/%", "/r/<script>", "/x"]) expect(roomAt(odd)).toBe("lobby");
});

test("a name has at most 80 characters and 200 bytes; typing has its own channel", () => {
  expect(roomName("x".repeat(80))).toHaveLength(80);
  expect([roomName(`${"项".repeat(66)}ab`), roomName("项".repeat(67))]).toEqual([`${"项".repeat(66)}ab`, null]); // 200 and 201 bytes
  expect([typingChannelOf("lobby"), typingChannelOf("ops")]).toEqual(["typing:lobby", "typing:ops"]);
});

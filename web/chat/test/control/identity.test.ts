// Who the reader is: guests, hosts' tokens, their renewal, and their end.

import { expect, test } from "vitest";
import { Identity, readToken } from "../../src/control/identity.ts";
import type { Guest } from "../../src/client/http.ts";
import { memoryStore, refused } from "../fakes.ts";
import { newWorld } from "./setup.ts";

const guest = (token: string, more: Partial<Guest> = {}): Guest => ({ token, user: "g:7", name: "Ann", color: 5, expires: 2_000_000_000, ...more });
const tokenOf = (claims: object) => `x.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.y`;

function setup({ stored, askHost = null }: { stored?: Guest; askHost?: (() => Promise<string>) | null } = {}) {
  const w = newWorld();
  const local = memoryStore(stored ? { guest: JSON.stringify(stored) } : {});
  const session = memoryStore();
  const identity = new Identity({ ...w, local, session, askHost });
  const seconds = w.clock.now() / 1_000;
  return { ...w, local, session, identity, seconds, me: () => identity.me.value, locked: () => identity.locked.value };
}

test("the first visit makes a guest, who is kept", async () => {
  const s = setup();
  expect(await s.identity.firstToken("")).toBe("guest token");
  expect(s.api.guestRequests).toEqual([{ token: "", name: "" }]);
  expect(s.me()).toEqual({ user: "g:1", name: "Guest 1", color: 3, guest: true, moderator: false, token: "guest token" });
  expect(JSON.parse(s.local.get("guest")!)).toMatchObject({ token: "guest token", user: "g:1" });
});

test("a kept guest comes back without a request", async () => {
  const s = setup({ stored: guest("kept") });
  expect(await s.identity.firstToken("")).toBe("kept");
  expect(s.api.guestRequests).toEqual([]);
  expect(s.me()).toMatchObject({ user: "g:7", name: "Ann", color: 5, guest: true });
});

test("a guest whose token expires within a minute gets a new one for the old", async () => {
  const s = setup();
  for (const [more, requests] of [[61, 0], [60, 1], [-5, 1]] as const) {
    const x = setup({ stored: guest("kept", { expires: s.seconds + more }) });
    await x.identity.firstToken("");
    expect(x.api.guestRequests, `${more} s`).toEqual(requests === 0 ? [] : [{ token: "kept", name: "" }]);
  }
});

test("anything else in the store is no guest", async () => {
  for (const value of ["", "null", "7", "{}", '{"token":"t","user":"u","name":"n","color":"1","expires":2000000000}', "not json"]) {
    const s = setup();
    s.local.set("guest", value);
    await s.identity.firstToken("");
    expect(s.api.guestRequests, value).toEqual([{ token: "", name: "" }]);
  }
});

test("a host's token is used before a guest's, for as long as the tab lives", async () => {
  const token = tokenOf({ sub: "42", info: { name: "王芳", color: 4, moderator: true } });
  const s = setup({ stored: guest("kept") });
  expect(await s.identity.firstToken(token)).toBe(token);
  expect(s.me()).toEqual({ user: "42", name: "王芳", color: 4, guest: false, moderator: true, token });
  expect(s.session.get("token")).toBe(token);
  expect(s.local.get("guest")).toContain("kept");
  expect(await new Identity({ ...s, askHost: null }).firstToken("")).toBe(token); // a reload of the tab
});

test("a server that admits no guests asks for a token", async () => {
  for (const status of [401, 403, 404]) {
    const s = setup();
    s.api.error = refused(status);
    expect(await s.identity.firstToken("")).toBe("");
    expect(s.locked()).toBe("asked");
    s.identity.useHostToken("x");
    expect(s.locked()).toBe("");
  }
});

test("a guest who comes back to a server that admits no guests any more is asked for a token", async () => {
  const s = setup({ stored: guest("kept") });
  await s.identity.firstToken("");
  s.api.error = refused(403);
  expect(await s.identity.renew()).toBe("");
  expect([s.locked(), s.me().token]).toEqual(["refused", ""]);
});

test("any other failure is not the end: it is told to who asked", async () => {
  for (const error of [refused(500), refused(429), new TypeError("no network")]) {
    const s = setup();
    s.api.error = error;
    await expect(s.identity.firstToken("")).rejects.toBe(error);
    expect(s.locked()).toBe("");
  }
});

test("a guest's token is renewed with the old one, and the name stays", async () => {
  const s = setup({ stored: guest("kept") });
  await s.identity.firstToken("");
  expect(await s.identity.renew()).toBe("guest token");
  expect(s.api.guestRequests).toEqual([{ token: "kept", name: "Ann" }]);
  expect(s.me()).toMatchObject({ name: "Ann", token: "guest token" });
});

test("a token that another tab has renewed is taken, unless it has expired", async () => {
  const s = setup({ stored: guest("kept") });
  await s.identity.firstToken("");
  s.local.setJSON("guest", guest("theirs", { name: "Anna" }));
  expect(await s.identity.renew()).toBe("theirs");
  expect(s.me().name).toBe("Anna");
  expect(s.api.guestRequests).toEqual([]);
  s.local.setJSON("guest", guest("expired", { expires: s.seconds }));
  await s.identity.renew();
  expect(s.api.guestRequests).toEqual([{ token: "expired", name: "Ann" }]);
});

test("a host is asked for a new token; without a host the reader is, and the old one is gone", async () => {
  const asked = setup({ askHost: async () => tokenOf({ sub: "42", info: {} }) });
  await asked.identity.firstToken("old");
  await asked.identity.renew();
  expect(asked.me()).toMatchObject({ user: "42", name: "42" });
  const alone = setup();
  await alone.identity.firstToken("old");
  expect(await alone.identity.renew()).toBe("");
  expect(alone.locked()).toBe("refused");
  expect(alone.session.get("token")).toBe(null);
  expect(alone.me()).toMatchObject({ user: "", token: "" });
});

test("a guest's name is changed by the server, and its refusal is told", async () => {
  const s = setup({ stored: guest("kept") });
  await s.identity.firstToken("");
  await s.identity.rename("Bo");
  expect(s.api.guestRequests).toEqual([{ token: "kept", name: "Bo" }]);
  expect(s.me().name).toBe("Bo");
  s.api.error = refused(403);
  await expect(s.identity.rename("Cy")).rejects.toBe(s.api.error);
  expect([s.me().name, s.locked()]).toEqual(["Bo", ""]);
});

test("a guest that another tab changed is taken over once; a host's user is not", async () => {
  const s = setup({ stored: guest("kept") });
  await s.identity.firstToken("");
  expect(s.identity.takeStored()).toBe(null);
  s.local.setJSON("guest", guest("theirs", { name: "Anna" }));
  expect(s.identity.takeStored()).toBe("theirs");
  expect(s.me().name).toBe("Anna");
  expect(s.identity.takeStored()).toBe(null);
  s.local.set("guest", null);
  expect(s.identity.takeStored()).toBe(null);
  s.local.setJSON("guest", guest("other"));
  s.identity.useHostToken("host");
  expect(s.identity.takeStored()).toBe(null);
});

test("a token that cannot be read shows nobody; the server decides what it is worth", () => {
  for (const token of ["", "x", "a.b.c", tokenOf([1]), `x.${Buffer.from("null").toString("base64url")}.y`]) expect(readToken(token)).toMatchObject({ user: "", name: "", guest: false, token });
  expect(readToken(tokenOf({ sub: 7, info: { name: 8, color: "9", moderator: "yes" } }))).toMatchObject({ user: "", name: "", color: 0, moderator: false });
  expect(readToken(tokenOf({ sub: "u", info: { name: "n".repeat(100) } })).name).toHaveLength(80);
});

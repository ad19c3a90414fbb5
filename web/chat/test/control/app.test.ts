// The app: its start, its rooms, its tokens, and who is told of what comes.

import { beforeEach, expect, test, vi } from "vitest";
import type { ConnectionOptions } from "../../src/client/connection.ts";
import { App, type AppOptions } from "../../src/control/app.ts";
import { Settings } from "../../src/control/settings.ts";
import { language } from "../../src/i18n/index.ts";
import type { Message } from "../../src/state/message.ts";
import { add, failed, save } from "../../src/state/outbox.ts";
import { FakeTabs, memoryStore, microtasks, refused } from "../fakes.ts";
import { newWorld, pendingIn, textsIn } from "./setup.ts";

beforeEach(() => { language.value = "en"; });

type Hooks = Pick<ConnectionOptions, "token" | "changed" | "personal">;

function setup(more: Partial<AppOptions> = {}, stored: Record<string, string> = {}) {
  const w = newWorld();
  const tabs = new FakeTabs();
  const local = memoryStore(stored);
  const settings = new Settings(local, ["en"]);
  let hooks: Hooks | null = null;
  const app = new App({
    ...w, local, session: memoryStore(), tabs, settings, hasNetwork: true, first: "lobby", only: false, bellOnly: false, personal: "user:", askHost: null,
    connect: (o) => { hooks = o; return w.connection; }, ...more,
  });
  app.addRooms();
  const online = async (client = "c1") => {
    w.connection.online = true;
    hooks!.changed({ name: "online", client });
    for (const room of app.rooms.value.values()) if (w.connection.channels.includes(room.channel)) await w.connection.subscribed(room.channel, { position: { epoch: "e", offset: w.api.top(room.channel) } });
  };
  const offline = () => {
    w.connection.online = false;
    hooks!.changed({ name: "connecting", since: w.clock.now() });
  };
  const started = async () => {
    void app.start("");
    await microtasks();
    await online();
  };
  const says = async (text: string, user = "bob", channel = "chat") => {
    w.connection.listener(channel).message(w.api.append(channel, { content: text }, { info: { user, conn_info: { name: user } } }));
    await w.clock.advance(tabs.isHidden ? 200 : 16);
  };
  return { ...w, tabs, local, settings, app, hooks: hooks!, online, offline, started, says, names: () => [...app.rooms.value.keys()] };
}
const stop = (s: ReturnType<typeof setup>, code: number) => {
  s.connection.online = false;
  s.hooks.changed({ name: "stopped", code, reason: "" });
  return microtasks();
};

// Start

test("the first visit makes a guest, opens the lobby and connects", async () => {
  const s = setup();
  expect(s.names()).toEqual(["lobby"]);
  expect(s.connection.channels).toEqual(["typing:lobby"]); // nothing is asked before there is a token
  await s.started();
  expect(s.connection.calls).toEqual(["connect guest token"]);
  expect(s.connection.channels).toContain("chat");
  expect([s.app.state.value, s.app.wasOnline.value]).toEqual([{ name: "online", client: "c1" }, true]);
});

test("a browser that does not say which tabs are closed does not hold up the connection", async () => {
  const s = setup();
  s.tabs.closed = () => new Promise(() => {});
  void s.app.start("");
  await microtasks();
  expect(s.connection.calls).toEqual(["connect guest token"]);
});

test("while the server does not answer it is asked again: 0.5 s, doubled up to 10 s, less up to a half", async () => {
  for (const [chance, part] of [[0, 0.5], [1, 1]] as const) {
    const s = setup();
    s.clock.chance = chance;
    s.api.error = new TypeError("no network");
    void s.app.start("");
    await microtasks();
    for (const [i, delay] of [500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000].entries()) {
      expect(s.api.guestRequests).toHaveLength(i + 1);
      await s.clock.advance(delay * part - 1);
      expect(s.api.guestRequests).toHaveLength(i + 1);
      await s.clock.advance(1);
    }
    s.api.error = null;
    await s.clock.advance(10_000);
    expect(s.connection.calls).toEqual(["connect guest token"]);
  }
});

test("a server that admits no guests is not connected to until there is a token", async () => {
  const s = setup();
  s.api.error = refused(403);
  void s.app.start("");
  await microtasks();
  expect([s.app.identity.locked.value, s.connection.calls]).toEqual(["asked", []]);
  expect(s.app.room.value.room.value.error).toBe("forbidden");
  s.api.error = null;
  s.app.useToken("x");
  await microtasks();
  expect([s.app.identity.locked.value, s.connection.calls]).toEqual(["", ["reconnect x"]]);
});

test("a new token lets the history be read that was forbidden or failed", async () => {
  const s = setup();
  await s.started();
  s.app.room.value.room.value = { ...s.app.room.value.room.value, error: "history", complete: false };
  s.api.append("chat", { content: "hi" });
  s.app.useToken("x");
  await microtasks();
  expect(textsIn(s.app.room.value)).toEqual(["hi"]);
});

test("what closed tabs have not sent is sent; what other tabs are about to send is theirs", async () => {
  const outbox = (content: string) => save(add([], { id: content, room: "lobby", content, re: null, written: 1 }));
  const s = setup({}, { "outbox.tab1": outbox("mine"), "outbox.gone": outbox("left behind"), "outbox.open": outbox("theirs") });
  s.tabs.gone = ["gone"];
  await s.started();
  expect(s.local.names("outbox.").sort()).toEqual(["outbox.open", "outbox.tab1"]);
  expect(pendingIn(s.app.room.value).map(([text]) => text)).toEqual(["left behind", "mine"]);
});

test("a page that is still closing while the new one starts loses nothing", async () => {
  const s = setup({}, { "outbox.closing": save(add([], { id: "a", room: "lobby", content: "a", re: null, written: 1 })) });
  await s.started();
  expect(pendingIn(s.app.room.value)).toEqual([]);
  s.tabs.gone = ["closing"];
  await s.clock.advance(5_000);
  expect(s.connection.dataIn("chat")).toMatchObject([{ content: "a", id: "a" }]);
  expect(s.local.names("outbox.")).toEqual(["outbox.tab1"]);
});

// Rooms

test("the rooms of the last visit are there, with the room of the address, at most 30", async () => {
  const s = setup({ first: "ops" }, { rooms: JSON.stringify(["lobby", "plans"]) });
  expect([s.names(), s.app.current.value]).toEqual([["lobby", "plans", "ops"], "ops"]);
  expect(setup({}, { rooms: JSON.stringify(Array.from({ length: 50 }, (_, i) => `r${i}`)) }).names()).toHaveLength(30);
  expect(setup({}, { rooms: '["lobby","<b>"]' }).names()).toEqual(["lobby"]); // not a list of ours
});

test("a frame shows its one room, or none, and keeps no list", async () => {
  const s = setup({ only: true, first: "support" }, { rooms: '["lobby","plans"]' });
  expect(s.names()).toEqual(["support"]);
  expect(s.local.get("rooms")).toBe('["lobby","plans"]');
  const bell = setup({ bellOnly: true });
  expect(bell.names()).toEqual([]);
  expect(bell.app.title.value).toBe("#lobby · Magpie");
});

test("opening a room adds, shows and keeps it; typing and presence go with it", async () => {
  const s = setup();
  await s.started();
  s.app.replying.value = {} as Message;
  s.app.editing.value = {} as Message;
  s.app.openRoom("ops");
  expect([s.names(), s.app.room.value.name, s.local.get("rooms")]).toEqual([["lobby", "ops"], "ops", '["lobby","ops"]']);
  expect([s.app.replying.value, s.app.editing.value]).toEqual([null, null]);
  expect(s.connection.channels).toEqual(expect.arrayContaining(["chat", "chat:ops", "typing:ops"]));
  expect(s.connection.channels).not.toContain("typing:lobby");
  s.connection.presence.set("chat:ops", { c: { user: "ann" } });
  await s.connection.subscribed("chat:ops");
  await s.clock.advance(150);
  expect(s.app.room.value.members.value?.size).toBe(1);
});

test("a closed room is left and forgotten, and the one before it is shown; the lobby stays", async () => {
  const s = setup({}, { rooms: '["lobby","a","b","c"]' });
  await s.started();
  s.app.openRoom("c");
  s.app.closeRoom("a");
  expect([s.names(), s.app.current.value]).toEqual([["lobby", "b", "c"], "c"]);
  s.app.closeRoom("c");
  expect([s.names(), s.app.current.value]).toEqual([["lobby", "b"], "b"]);
  s.app.closeRoom("b");
  expect([s.names(), s.app.current.value, s.local.get("rooms")]).toEqual([["lobby"], "lobby", '["lobby"]']);
  expect(s.connection.channels).not.toContain("chat:b");
  s.app.closeRoom("lobby");
  expect(s.names()).toEqual(["lobby"]);
});

test("the neighbours of a room go round", () => {
  const s = setup({ first: "a" }, { rooms: '["lobby","a","b"]' });
  expect([s.app.neighbour(1), s.app.neighbour(-1)]).toEqual(["b", "lobby"]);
  s.app.openRoom("b");
  expect(s.app.neighbour(1)).toBe("lobby");
});

test("a lost connection makes no room live; only the shown room asks who is there", async () => {
  const s = setup({}, { rooms: '["lobby","a"]' });
  await s.started();
  expect([...s.app.rooms.value.values()].map((r) => r.live.value)).toEqual([true, true]);
  s.offline();
  expect([...s.app.rooms.value.values()].map((r) => r.live.value)).toEqual([false, false]);
  await s.online();
  s.connection.presence.set("chat", {});
  await s.clock.advance(150);
  const before = s.connection.presenceRequests;
  s.connection.listener("chat:a").presenceChanged!();
  await s.clock.advance(150);
  expect(s.connection.presenceRequests).toBe(before);
  s.connection.listener("chat").presenceChanged!();
  await s.clock.advance(150);
  expect(s.connection.presenceRequests).toBe(before + 1);
});

// Unread

test("unread messages of all rooms and the bell stand in the title; reading takes them out, for all tabs", async () => {
  const s = setup({}, { rooms: '["lobby","a"]', guest: JSON.stringify({ token: "t", user: "g:1", name: "Me", color: 1, expires: 2_000_000_000 }) });
  await s.started();
  await s.says("one");
  await s.says("two", "bob", "chat:a");
  await s.says("mine", "g:1");
  expect([s.app.unread.value, s.app.title.value]).toEqual([2, "(2) #lobby · Magpie"]);
  s.hooks.personal.subscribed("user:g:1");
  await microtasks();
  s.hooks.personal.message("user:g:1", { data: { title: "Paid" }, epoch: "e", offset: 1 });
  expect(s.app.title.value).toBe("(3) #lobby · Magpie");
  s.app.readToEnd();
  expect(s.app.title.value).toBe("(2) #lobby · Magpie");
  expect(JSON.parse(s.local.get("mark.lobby")!)).toEqual({ epoch: "e", offset: 2 });
  s.app.openRoom("a");
  s.app.markRead();
  expect(s.app.title.value).toBe("(1) #a · Magpie");
});

test("more than 99 are 99+", async () => {
  const s = setup();
  await s.started();
  for (let i = 0; i < 100; i++) s.connection.listener("chat").message(s.api.append("chat", { content: `${i}` }));
  await s.clock.advance(16);
  expect(s.app.title.value).toBe("(99+) #lobby · Magpie");
});

test("another tab's mark is followed, forward only; another room's and a broken one change nothing", async () => {
  const s = setup();
  s.api.appendAll("chat", 9);
  await s.started();
  s.app.room.value.mark.value = { epoch: "e", offset: 4 };
  const follow = (mark: unknown, name = "mark.lobby") => {
    s.local.setJSON(name, mark);
    s.app.storeChanged(name);
    return s.app.room.value.mark.value;
  };
  expect(follow({ epoch: "e", offset: 3 })).toEqual({ epoch: "e", offset: 4 });
  expect(follow({ epoch: "e", offset: 7 })).toEqual({ epoch: "e", offset: 7 });
  expect(follow({ epoch: "f", offset: 1 })).toEqual({ epoch: "f", offset: 1 });
  expect(follow({ epoch: 7 })).toEqual({ epoch: "f", offset: 1 });
  expect(follow({ epoch: "e", offset: 9 }, "mark.ops")).toEqual({ epoch: "f", offset: 1 });
});

test("a mark is kept from visit to visit", async () => {
  const s = setup({}, { "mark.lobby": '{"epoch":"e","offset":1}' });
  s.api.appendAll("chat", 3);
  await s.started();
  expect(s.app.unread.value).toBe(2);
  expect(setup({}, { "mark.lobby": '{"epoch":1}' }).app.room.value.mark.value).toBe(null);
});

test("the divider is before what came while the reader did not see the end, and stays until it is read", async () => {
  const s = setup();
  s.api.appendAll("chat", 2);
  await s.started();
  s.app.readToEnd();
  expect(s.app.room.value.divider.value).toBe(null);
  s.app.placeDivider();
  expect(s.app.room.value.divider.value).toEqual({ epoch: "e", offset: 2 });
  await s.says("unseen");
  s.app.placeDivider(); // not moved by more
  s.app.readToEnd();
  expect([s.app.room.value.divider.value, s.app.unread.value]).toEqual([{ epoch: "e", offset: 2 }, 0]);
  s.app.markRead();
  expect(s.app.room.value.divider.value).toBe(null);
});

// Messages

test("what the reader sends answers the message that was chosen, once, and may be announced anew", async () => {
  const s = setup();
  await s.started();
  s.app.typing.typed();
  s.app.replying.value = { key: "e.1" } as Message;
  s.app.send("yes");
  s.app.typing.typed();
  expect(s.connection.dataIn("chat")).toMatchObject([{ content: "yes", re: "e.1" }]);
  expect(s.app.replying.value).toBe(null);
  expect(s.connection.dataIn("typing:lobby")).toHaveLength(2);
  await s.connection.published.find((p) => p.channel === "chat")!.answer();
  s.app.send("and");
  expect(s.connection.dataIn("chat")[1]).not.toHaveProperty("re");
});

test("what was being sent when the connection was lost waits, and a failed message is the reader's", async () => {
  const failedBefore = save(failed(add([], { id: "f", room: "lobby", content: "failed", re: null, written: 1 }), "f", "why"));
  const s = setup({}, { "outbox.tab1": failedBefore });
  await s.started();
  s.app.send("on its way");
  expect(pendingIn(s.app.room.value)).toEqual([["failed", "failed"], ["on its way", "sending"]]);
  s.offline();
  expect(pendingIn(s.app.room.value)).toEqual([["failed", "failed"], ["on its way", "waiting"]]);
});

test("what failed on an earlier visit is shown as the reader's once it is known who that is", async () => {
  const s = setup({}, { "outbox.tab1": save(failed(add([], { id: "f", room: "lobby", content: "failed", re: null, written: 1 }), "f", "why")) });
  expect(s.app.room.value.room.value.pending).toMatchObject([{ reason: "why", author: { user: "" } }]);
  await s.started();
  expect(s.app.room.value.room.value.pending).toMatchObject([{ reason: "why", author: { user: "g:1" } }]);
});

test("changes are published in the open room, and a failure is told with its reason", async () => {
  const s = setup();
  await s.started();
  const m = { key: "e.1", reactions: [{ emoji: "👍", users: ["user g:1"] }, { emoji: "🎉", users: ["user bob"] }] } as unknown as Message;
  void s.app.edit(m, "new");
  void s.app.remove(m);
  void s.app.react(m, "👍");
  void s.app.react(m, "🎉");
  void s.app.react(m, "😂");
  expect(s.connection.dataIn("chat")).toEqual([
    { type: "edit", of: "e.1", content: "new" }, { type: "delete", of: "e.1" },
    { type: "reaction", of: "e.1", emoji: "👍", on: false }, { type: "reaction", of: "e.1", emoji: "🎉", on: true }, { type: "reaction", of: "e.1", emoji: "😂", on: true },
  ]);
  for (const [code, text] of [[103, "you may not publish here"], [101, "you may not publish here"], [106, "too long"], [111, "(111)"], [2, "the reason"]] as const) {
    const changed = s.app.remove(m);
    await s.connection.published.at(-1)!.refuse(code, "the reason");
    await changed;
    expect(s.app.failure.value, String(code)).toContain(text);
  }
});

test("one's own are those of the user; without a user those of the session; and what is not sent yet", async () => {
  const s = setup();
  await s.started();
  const by = (user: string, client = "", sendState = "sent") => ({ author: { user, client, stamped: true }, sendState, offset: 1 }) as Message;
  expect([by("g:1"), by("bob"), by("bob", "c1"), by("", "", "waiting")].map(s.app.isOwn)).toEqual([true, false, false, true]);
  expect([by("g:1"), by("bob"), by("g:1", "", "failed"), { ...by("g:1"), offset: 0 }].map((m) => s.app.mayChange(m))).toEqual([true, false, false, false]);
  s.app.useToken("a token without a user");
  await s.online("c9");
  expect([by("", "c9"), by("", "c1"), by(""), by("bob", "c9")].map(s.app.isOwn)).toEqual([true, false, false, true]);
  expect([s.app.isAmong(["client c9"]), s.app.isAmong(["client c1", "user g:1"])]).toEqual([true, false]);
  s.offline();
  expect(s.app.isOwn(by("", "c9"))).toBe(false);
  s.app.useToken(`x.${btoa(JSON.stringify({ sub: "mod", info: { moderator: true } }))}.y`);
  expect(s.app.mayChange(by("bob"))).toBe(true);
});

// Tokens

test("a token that is not this server's is renewed, four times at the most until one connects", async () => {
  const s = setup();
  await s.started();
  for (let i = 0; i < 10; i++) await stop(s, 3500);
  expect(s.connection.calls).toHaveLength(1 + 4);
  expect(s.connection.calls[1]).toBe("reconnect guest token");
  await s.online();
  await stop(s, 1);
  expect(s.connection.calls).toHaveLength(1 + 5);
});

test("a renewal that fails is tried again after 2 s", async () => {
  const s = setup();
  await s.started();
  s.api.error = new TypeError("no network");
  await stop(s, 3500);
  s.api.error = null;
  await s.clock.advance(1_999);
  expect(s.connection.calls).toHaveLength(1);
  await s.clock.advance(1);
  expect(s.connection.calls).toHaveLength(2);
});

test("other ends are left to the reader; a host's token that is refused asks for another", async () => {
  const s = setup();
  await s.started();
  await stop(s, 3503);
  await stop(s, 2);
  expect(s.connection.calls).toHaveLength(1);
  s.app.useToken("host");
  await stop(s, 3500);
  expect([s.app.identity.locked.value, s.connection.calls]).toEqual(["refused", ["connect guest token", "reconnect host"]]);
});

test("a message that is too large for the server fails, and the connection is made again", async () => {
  const s = setup();
  await s.started();
  s.app.send("far too long");
  await stop(s, 3);
  expect(s.app.room.value.room.value.pending).toMatchObject([{ sendState: "failed", reason: "it is too long for this server" }]);
  expect(s.connection.calls.at(-1)).toBe("retry");
});

test("the connection asks for a new token when the old one has expired", async () => {
  const s = setup();
  await s.started();
  s.api.nextGuest = { ...s.api.nextGuest, token: "renewed" };
  expect(await s.hooks.token()).toBe("renewed");
});

test("a new name, of this tab or of another, is taken up by a new session", async () => {
  const s = setup();
  await s.started();
  await s.app.rename("Ann");
  expect(s.app.author()).toMatchObject({ user: "g:1", name: "Ann", stamped: true, guest: true });
  expect(s.connection.calls).toHaveLength(2);
  s.app.storeChanged("guest"); // it is the same
  expect(s.connection.calls).toHaveLength(2);
  s.local.setJSON("guest", { ...s.api.nextGuest, token: "theirs", name: "Anna" });
  s.app.storeChanged("guest");
  expect([s.connection.calls.at(-1), s.app.author().name]).toEqual(["reconnect theirs", "Anna"]);
});

// What is told

test("screen readers hear others in the open room; a burst of more than three is a number", async () => {
  const s = setup({}, { rooms: '["lobby","a"]' });
  s.api.appendAll("chat", 2);
  await s.started();
  const { text } = s.app.announcer;
  await s.says("one");
  await s.says("elsewhere", "bob", "chat:a");
  await s.says("mine", "g:1");
  await s.says("two", "ann");
  await s.clock.advance(351);
  expect(text.value).toBe("");
  await s.clock.advance(1);
  expect(text.value).toBe("bob: one\nann: two");
  for (let i = 0; i < 3; i++) await s.says(`${i}`);
  await s.clock.advance(400);
  expect(text.value).toBe("bob: 0\nbob: 1\nbob: 2");
  for (let i = 0; i < 4; i++) await s.says(`${i}`);
  await s.clock.advance(400);
  expect(text.value).toBe("4 new messages");
  await s.says("x".repeat(1_000));
  await s.clock.advance(400);
  expect(text.value).toBe(`bob: ${"x".repeat(300)}`);
});

test("a notice of the bell is heard, with its text", async () => {
  const s = setup();
  await s.started();
  s.hooks.personal.subscribed("user:g:1");
  await microtasks();
  s.hooks.personal.message("user:g:1", { data: { title: "Invoice", text: "It is paid." }, epoch: "e", offset: 1 });
  expect(s.app.announcer.text.value).toBe("Invoice. It is paid.");
  s.hooks.personal.message("user:g:1", { data: { text: "Only a text" }, epoch: "e", offset: 2 });
  expect(s.app.announcer.text.value).toBe("Only a text");
});

test("sound: when the tab is hidden or another room is shown, and it was asked for; notifications: when it is hidden", async () => {
  const shown: string[] = [];
  let sounds = 0;
  vi.stubGlobal("Notification", class { static permission = "granted"; onclick = () => {}; constructor(title: string) { shown.push(title); } close() {} });
  vi.stubGlobal("AudioContext", class { constructor() { sounds++; throw new Error("no device"); } });
  const s = setup({}, { rooms: '["lobby","a"]' });
  await s.started();
  const told = async (channel: string, user = "bob") => {
    shown.length = sounds = 0;
    await s.clock.advance(1_000);
    await s.says("hi", user, channel);
    return [sounds, [...shown]];
  };
  s.tabs.isHidden = true;
  expect(await told("chat")).toEqual([0, []]); // nothing was asked for
  s.settings.sound.value = s.settings.notify.value = true;
  expect(await told("chat")).toEqual([1, ["bob in #lobby"]]);
  expect(await told("chat", "g:1")).toEqual([0, []]); // one's own
  s.tabs.isHidden = false;
  expect(await told("chat")).toEqual([0, []]);
  expect(await told("chat:a")).toEqual([1, []]);
  s.tabs.isHidden = true;
  shown.length = sounds = 0;
  s.hooks.personal.subscribed("user:g:1");
  await s.clock.advance(1_000);
  s.hooks.personal.message("user:g:1", { data: { title: "Invoice" }, epoch: "e", offset: 1 });
  expect([sounds, shown]).toEqual([1, ["Invoice"]]);
  vi.unstubAllGlobals();
});

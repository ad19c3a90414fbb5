// Notifications and the sound: one tab of all, and none while one is visible.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { askPermission, Notifier, permission } from "../../src/control/notify.ts";
import { FakeClock, FakeTabs } from "../fakes.ts";

class FakeNotification {
  static permission = "granted";
  static requestPermission = async () => { FakeNotification.permission = "granted"; return "granted"; };
  static shown: FakeNotification[] = [];
  onclick = () => {};
  closed = false;
  constructor(readonly title: string, readonly options: { body: string; tag: string }) { FakeNotification.shown.push(this); }
  close() { this.closed = true; }
}

let notes: number;
class FakeNode {
  readonly gain = { setValueAtTime() {}, linearRampToValueAtTime() {}, exponentialRampToValueAtTime() {} };
  connect(to: unknown) { return to; }
  start() { notes++; }
  stop() {}
}

beforeEach(() => {
  notes = 0;
  FakeNotification.permission = "granted";
  FakeNotification.shown = [];
  vi.stubGlobal("Notification", FakeNotification);
  vi.stubGlobal("AudioContext", class { readonly currentTime = 0; });
  vi.stubGlobal("OscillatorNode", FakeNode);
  vi.stubGlobal("GainNode", FakeNode);
  vi.stubGlobal("window", { focus() {} });
});
afterEach(() => vi.unstubAllGlobals());

function setup() {
  const tabs = Object.assign(new FakeTabs(), { isHidden: true });
  const clock = new FakeClock();
  return { tabs, clock, notifier: new Notifier(tabs, clock) };
}

test("the leader notifies when every tab is hidden and the reader has allowed it", () => {
  const { tabs, notifier } = setup();
  const show = () => {
    notifier.show("t".repeat(500), "b".repeat(500), "tag", () => {});
    return FakeNotification.shown.length;
  };
  FakeNotification.permission = "denied";
  expect(show()).toBe(0);
  FakeNotification.permission = "granted";
  tabs.leader = false;
  expect(show()).toBe(0);
  tabs.leader = true;
  tabs.othersVisible = true;
  expect(show()).toBe(0);
  tabs.othersVisible = false;
  expect(show()).toBe(1);
  expect(FakeNotification.shown[0]).toMatchObject({ title: "t".repeat(120), options: { body: "b".repeat(240), tag: "tag" } });
});

test("a click opens what was notified", () => {
  const { notifier } = setup();
  let opened = 0;
  notifier.show("t", "b", "tag", () => { opened++; });
  FakeNotification.shown[0]!.onclick();
  expect([opened, FakeNotification.shown[0]!.closed]).toEqual([1, true]);
});

test("a browser without notifications has denied them", async () => {
  expect([permission(), await askPermission()]).toEqual(["granted", "granted"]);
  vi.stubGlobal("Notification", undefined);
  expect([permission(), await askPermission()]).toEqual(["denied", "denied"]);
  setup().notifier.show("t", "b", "tag", () => { throw new Error("not shown"); });
});

test("the sound is played by the leader, at most once a second", async () => {
  const { tabs, clock, notifier } = setup();
  notifier.playSound();
  expect(notes).toBe(2);
  await clock.advance(999);
  notifier.playSound();
  expect(notes).toBe(2);
  await clock.advance(1);
  notifier.playSound();
  expect(notes).toBe(4);
  tabs.leader = false;
  await clock.advance(5_000);
  notifier.playSound();
  expect(notes).toBe(4);
});

test("a machine without sound is no failure", () => {
  vi.stubGlobal("AudioContext", class { constructor() { throw new Error("no device"); } });
  setup().notifier.playSound();
  expect(notes).toBe(0);
});

// Chromium on Android: the constructor throws, the service worker may.
function onAndroid(ready: Promise<unknown>) {
  vi.stubGlobal("Notification", class { static permission = "granted"; constructor() { throw new TypeError("Illegal constructor"); } });
  const heard = { open: (_: unknown) => {} };
  vi.stubGlobal("navigator", { serviceWorker: { ready, addEventListener: (_: string, f: (e: unknown) => void) => { heard.open = (data) => f({ data }); } } });
  return heard;
}

test("where pages may show no notification the service worker does, and brings the reader back", async () => {
  const shown: unknown[] = [];
  const heard = onAndroid(Promise.resolve({ showNotification: async (...args: unknown[]) => { shown.push(args); } }));
  const { notifier, clock } = setup();
  let opened = 0;
  notifier.show("t", "b", "room lobby", () => { opened++; });
  await clock.advance(0);
  expect(shown).toEqual([["t", { body: "b", tag: "room lobby" }]]);
  for (const data of [{ opened: "room other" }, null, { opened: "room lobby" }]) heard.open(data);
  expect(opened).toBe(1);
});

test("a service worker that never comes, or refuses, is no failure", async () => {
  for (const ready of [new Promise(() => {}), Promise.reject(new Error("blocked")), Promise.resolve({ showNotification: () => { throw new TypeError("no"); } })]) {
    onAndroid(ready);
    const { notifier, clock } = setup();
    notifier.show("t", "b", "tag", () => {});
    await clock.advance(5_000);
    expect(clock.waiting).toBe(0);
  }
});

test("a question that is never answered ends, with what the browser then says", async () => {
  const clock = new FakeClock();
  vi.stubGlobal("Notification", { permission: "default", requestPermission: () => new Promise(() => {}) });
  let answer = "";
  void askPermission(clock).then((p) => { answer = p; });
  await clock.advance(60_000);
  expect(answer).toBe("default");
});

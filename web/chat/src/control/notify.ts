// Notifications of the browser, and a sound, for what comes while nobody looks.

import { browserClock, type Clock } from "../client/clock.ts";
import { within } from "../client/deadline.ts";
import type { Tabs } from "./tabs.ts";

export type Permission = "default" | "granted" | "denied";

export const permission = (): Permission => (typeof Notification === "undefined" ? "denied" : Notification.permission);

const questionTime = 60_000; // milliseconds that the reader has for the browser's question

/** Asks the reader; browsers allow it only after a click or a key of theirs. */
export const askPermission = async (clock: Clock = browserClock): Promise<Permission> => {
  if (permission() !== "default") return permission();
  await within(clock, questionTime, undefined, () => Notification.requestPermission());
  return permission(); // some browsers do not resolve to it
};

const soundInterval = 1_000; // milliseconds between two sounds at the least
const workerTime = 5_000; // milliseconds until the service worker is there

/** What the service worker sends to the page when the reader opens one of its notifications. */
export interface Opened { readonly opened: string }
const isOpened = (v: unknown): v is Opened => typeof (v as Opened | null)?.opened === "string";

export class Notifier {
  #audio: AudioContext | null = null;
  #lastSound = -Infinity;
  #opens = new Map<string, () => void>(); // by tag, of notifications that the worker shows

  constructor(private readonly tabs: Tabs, private readonly clock: Clock) {}

  /** Shows a notification, in one tab of the browser and only while all are hidden. */
  show(title: string, body: string, tag: string, open: () => void): void {
    if (permission() !== "granted" || this.tabs.anyVisible() || !this.tabs.isLeader()) return;
    const options = { body: body.slice(0, 240), tag };
    try {
      const n = new Notification(title.slice(0, 120), options);
      n.onclick = () => {
        window.focus();
        open();
        n.close();
      };
    } catch { // on Android only service workers may
      void this.#showByWorker(title.slice(0, 120), options, open);
    }
  }

  async #showByWorker(title: string, options: { body: string; tag: string }, open: () => void): Promise<void> {
    const registration = await within(this.clock, workerTime, null, () => navigator.serviceWorker.ready);
    if (!registration) return;
    if (this.#opens.size === 0) {
      navigator.serviceWorker.addEventListener("message", ({ data }) => { if (isOpened(data)) this.#opens.get(data.opened)?.(); });
    }
    this.#opens.set(options.tag, open);
    await within(this.clock, workerTime, undefined, () => registration.showNotification(title, options));
  }

  /** Plays two soft notes, in one tab of the browser. They are made here: nothing is loaded. */
  playSound(): void {
    if (!this.tabs.isLeader() || this.clock.now() - this.#lastSound < soundInterval) return;
    this.#lastSound = this.clock.now();
    try {
      this.#audio ??= new AudioContext();
      const at = this.#audio.currentTime;
      playNote(this.#audio, 880, at);
      playNote(this.#audio, 1174.7, at + 0.09);
    } catch { /* no sound on this machine */ }
  }
}

function playNote(context: AudioContext, pitch: number, at: number): void {
  const tone = new OscillatorNode(context, { frequency: pitch, type: "sine" });
  const volume = new GainNode(context, { gain: 0 });
  volume.gain.setValueAtTime(0, at);
  volume.gain.linearRampToValueAtTime(0.08, at + 0.01);
  volume.gain.exponentialRampToValueAtTime(0.0001, at + 0.35);
  tone.connect(volume).connect(context.destination);
  tone.start(at);
  tone.stop(at + 0.4);
}

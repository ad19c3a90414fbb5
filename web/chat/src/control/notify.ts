// Notifications of the browser, and a sound, for what comes while nobody looks.

import type { Clock } from "../client/clock.ts";
import type { Tabs } from "./tabs.ts";

export type Permission = "default" | "granted" | "denied";

export const permission = (): Permission => (typeof Notification === "undefined" ? "denied" : Notification.permission);

/** Asks the reader; browsers allow it only after a click or a key of theirs. */
export const askPermission = async (): Promise<Permission> =>
  typeof Notification === "undefined" ? "denied" : Notification.requestPermission();

const soundInterval = 1_000; // milliseconds between two sounds at the least

export class Notifier {
  #audio: AudioContext | null = null;
  #lastSound = -Infinity;

  constructor(private readonly tabs: Tabs, private readonly clock: Clock) {}

  /** Shows a notification, in one tab of the browser and only while all are hidden. */
  show(title: string, body: string, tag: string, open: () => void): void {
    if (permission() !== "granted" || this.tabs.anyVisible() || !this.tabs.isLeader()) return;
    try {
      const n = new Notification(title.slice(0, 120), { body: body.slice(0, 240), tag });
      n.onclick = () => {
        window.focus();
        open();
        n.close();
      };
    } catch { /* some phones allow notifications to service workers only */ }
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

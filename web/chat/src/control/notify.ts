// Notifications of the browser and a sound, for what comes while nobody looks.

import type { Tabs } from "./tabs.ts";

export type Permission = "default" | "granted" | "denied";

export const permission = (): Permission => (typeof Notification === "undefined" ? "denied" : Notification.permission);

/** Asks the reader; only after a gesture of theirs. */
export const askPermission = async (): Promise<Permission> =>
  typeof Notification === "undefined" ? "denied" : Notification.requestPermission();

/** One tab of all notifies, and none while one is in sight. Text only. */
export function notify(tabs: Tabs, title: string, body: string, tag: string, open: () => void): void {
  if (permission() !== "granted" || tabs.inSight() || !tabs.leads()) return;
  try {
    const n = new Notification(title.slice(0, 120), { body: body.slice(0, 240), tag });
    n.onclick = () => {
      window.focus();
      open();
      n.close();
    };
  } catch { /* some phones let only service workers notify */ }
}

let audio: AudioContext | null = null;
let last = 0;

/** Two soft notes, made here: nothing is loaded. At most one a second. */
export function chime(now = Date.now()): void {
  if (now - last < 1_000) return;
  last = now;
  try {
    audio ??= new AudioContext();
    const at = audio.currentTime;
    [880, 1174.7].forEach((pitch, i) => note(audio!, pitch, at + i * 0.09));
  } catch { /* no sound on this machine */ }
}

function note(context: AudioContext, pitch: number, at: number): void {
  const tone = new OscillatorNode(context, { frequency: pitch, type: "sine" });
  const volume = new GainNode(context, { gain: 0 });
  volume.gain.setValueAtTime(0, at);
  volume.gain.linearRampToValueAtTime(0.08, at + 0.01);
  volume.gain.exponentialRampToValueAtTime(0.0001, at + 0.35);
  tone.connect(volume).connect(context.destination);
  tone.start(at);
  tone.stop(at + 0.4);
}

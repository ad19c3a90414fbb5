// What screen readers are told: new messages of others; a burst as a number.

import { signal } from "@preact/signals";
import type { Clock } from "../client/clock.ts";
import { t } from "../i18n/index.ts";

const burstTime = 400; // milliseconds in which messages are told together
const maxTold = 3; // messages that are read out one by one

export class Announcer {
  readonly text = signal("");
  #messages: string[] = [];

  constructor(private readonly clock: Clock) {}

  message(author: string, text: string): void {
    this.#messages.push(t("announce", author, text.slice(0, 300)));
    if (this.#messages.length > 1) return;
    this.clock.after(burstTime, () => {
      const told = this.#messages;
      this.#messages = [];
      this.text.value = told.length > maxTold ? t("announce.many", told.length) : told.join("\n");
    });
  }

  notice(title: string, text: string): void { this.text.value = text === "" ? title : `${title}. ${text}`; }
}

// What the reader chose, kept in this browser.

import { effect, signal } from "@preact/signals";
import type { Shelf } from "../client/shelf.ts";
import { type Language, language, languageFor } from "../i18n/index.ts";

export type Theme = "system" | "light" | "dark";

export class Settings {
  readonly theme = signal<Theme>("system");
  readonly sound = signal(false);
  readonly notify = signal(false);

  constructor(private readonly shelf: Shelf) {
    const theme = shelf.get("theme");
    if (theme === "light" || theme === "dark") this.theme.value = theme;
    this.sound.value = shelf.get("sound") === "on";
    this.notify.value = shelf.get("notify") === "on";
    const chosen = shelf.get("language");
    language.value = chosen === "en" || chosen === "zh-CN" ? chosen : languageFor(navigator.languages);
  }

  /** Keeps the page and the shelf at what is chosen. Runs for the page's life. */
  follow(root: HTMLElement): void {
    effect(() => {
      root.dataset.theme = this.theme.value;
      this.shelf.set("theme", this.theme.value === "system" ? null : this.theme.value);
    });
    effect(() => this.shelf.set("sound", this.sound.value ? "on" : null));
    effect(() => this.shelf.set("notify", this.notify.value ? "on" : null));
  }

  speak(l: Language): void {
    language.value = l;
    this.shelf.set("language", l);
  }
}

// What the reader chose, kept in this browser.

import { effect, signal } from "@preact/signals";
import type { Store } from "../client/store.ts";
import { type Language, language, languageFor } from "../i18n/index.ts";

export type Theme = "system" | "light" | "dark";

export class Settings {
  readonly theme = signal<Theme>("system");
  readonly sound = signal(false);
  readonly notify = signal(false);
  /** Whether the reader asked for, or against, the commands that publish; null: the page decides. */
  readonly examples = signal<boolean | null>(null);

  constructor(private readonly store: Store, languages: readonly string[] = navigator.languages) {
    const theme = store.get("theme");
    if (theme === "light" || theme === "dark") this.theme.value = theme;
    this.sound.value = store.get("sound") === "on";
    this.notify.value = store.get("notify") === "on";
    const examples = store.get("examples");
    if (examples !== null) this.examples.value = examples === "on";
    const chosen = store.get("language");
    language.value = chosen === "en" || chosen === "zh-CN" ? chosen : languageFor(languages);
  }

  /** Applies what is chosen to the page and stores it, now and on every change. */
  apply(root: Pick<HTMLElement, "dataset">): void {
    effect(() => {
      root.dataset.theme = this.theme.value;
      this.store.set("theme", this.theme.value === "system" ? null : this.theme.value);
    });
    effect(() => this.store.set("sound", this.sound.value ? "on" : null));
    effect(() => this.store.set("examples", this.examples.value === null ? null : this.examples.value ? "on" : "off"));
    effect(() => this.store.set("notify", this.notify.value ? "on" : null));
  }

  setLanguage(l: Language): void {
    language.value = l;
    this.store.set("language", l);
  }
}

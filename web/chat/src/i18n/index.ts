// The app's texts in the reader's language. A view that reads one is drawn again
// when the language changes.

import { computed, effect, signal } from "@preact/signals";
import { type Catalogue, en, type Key } from "./en.ts";
import { zh } from "./zh.ts";

export type Language = "en" | "zh-CN";

export const catalogues: Readonly<Record<Language, Catalogue>> = { en, "zh-CN": zh };

/** The language for a browser's list of preferences. */
export const languageFor = (preferred: readonly string[]): Language =>
  preferred.map((l) => l.toLowerCase()).find((l) => l.startsWith("zh") || l.startsWith("en"))?.startsWith("zh") ? "zh-CN" : "en";

export const language = signal<Language>("en");

type Args<K extends Key> = Catalogue[K] extends (...args: infer A) => string ? A : [];

/** The text for a key. */
export function t<K extends Key>(key: K, ...args: Args<K>): string {
  const entry = catalogues[language.value][key] as string | ((...args: unknown[]) => string);
  return typeof entry === "string" ? entry : entry(...args);
}

const formats = computed(() => ({
  time: new Intl.DateTimeFormat(language.value, { hour: "numeric", minute: "2-digit" }),
  full: new Intl.DateTimeFormat(language.value, { dateStyle: "full", timeStyle: "medium" }),
  day: new Intl.DateTimeFormat(language.value, { weekday: "long", day: "numeric", month: "long" }),
  oldDay: new Intl.DateTimeFormat(language.value, { dateStyle: "long" }),
  short: new Intl.DateTimeFormat(language.value, { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" }),
  compare: new Intl.Collator(language.value, { sensitivity: "base", numeric: true }).compare,
}));

export const timeOf = (ms: number): string => formats.value.time.format(ms);
export const fullTimeOf = (ms: number): string => formats.value.full.format(ms);
/** The time for today; the day and the time for any other day. */
export const shortTimeOf = (ms: number, now: number): string =>
  new Date(ms).toDateString() === new Date(now).toDateString() ? timeOf(ms) : formats.value.short.format(ms);
export const compare = (a: string, b: string): number => formats.value.compare(a, b);

export function dayOf(ms: number, now: number): string {
  const at = (d: number) => new Date(d).toDateString();
  if (at(ms) === at(now)) return t("day.today");
  if (at(ms) === at(now - 86_400_000)) return t("day.yesterday");
  return (now - ms < 300 * 86_400_000 ? formats.value.day : formats.value.oldDay).format(ms);
}

/** Keeps <html lang> at the language, as long as the page is open. */
export const followLanguage = (root: HTMLElement): void => {
  effect(() => { root.lang = language.value; });
};

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

/**
 * The locale for dates and times: the browser's own for this language, else the
 * language as it is written where the browser's reader lives.
 */
export function localeFor(l: Language, preferred: readonly string[]): string {
  if (l !== "en") return l;
  const own = preferred.find((p) => /^en(-|$)/i.test(p));
  const region = regionOf(own ?? "") ?? regionOf(preferred[0] ?? "");
  return own !== undefined && own.includes("-") ? own : region === null ? "en" : `en-${region}`;
}

const regionOf = (tag: string): string | null => /-([A-Za-z]{2}|\d{3})\b/.exec(tag)?.[1]?.toUpperCase() ?? null;

const formats = computed(() => {
  const locale = localeFor(language.value, navigator.languages);
  return {
    time: new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" }),
    full: new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "medium" }),
    day: new Intl.DateTimeFormat(locale, { weekday: "long", day: "numeric", month: "long" }),
    oldDay: new Intl.DateTimeFormat(locale, { dateStyle: "long" }),
    short: new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" }),
    compare: new Intl.Collator(locale, { sensitivity: "base", numeric: true }).compare,
  };
});

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

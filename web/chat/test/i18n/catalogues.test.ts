import { expect, test } from "vitest";
import { en } from "../../src/i18n/en.ts";
import { languageFor, localeFor } from "../../src/i18n/index.ts";
import { zh } from "../../src/i18n/zh.ts";

test("both languages say everything, and nothing is left in the other one", () => {
  expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort());
  const han = /\p{Script=Han}/u;
  const said = (v: unknown): string => (typeof v === "function" ? String((v as (...a: unknown[]) => string)(v.length === 2 ? ["A"] : v.toString().startsWith("(n") ? 2 : "A", 2)) : String(v));
  for (const key of Object.keys(en) as (keyof typeof en)[]) {
    expect(said(en[key]), key).not.toMatch(han);
    if (!/^(via\.|author\.(redis|http)|announce$)/.test(key)) expect(said(zh[key]), key).toMatch(han);
    expect(typeof zh[key]).toBe(typeof en[key]);
  }
  expect(languageFor(["fr", "zh-TW", "en"])).toBe("zh-CN");
  expect(languageFor(["fr"])).toBe("en");
});

test("a crowd of typists is two names and a number", () => {
  expect(en.typing(["Ann"], 0)).toBe("Ann is typing…");
  expect(en.typing(["Ann", "Bo", "Cy"], 0)).toBe("Ann, Bo and Cy are typing…");
  expect(en.typing(["Ann", "Bo"], 3)).toBe("Ann, Bo and 3 others are typing…");
  expect(zh.typing(["Ann", "Bo"], 3)).toBe("Ann、Bo 和另外 3 人 正在输入…");
});

test("English dates and times are those of the browser's region", () => {
  expect(localeFor("en", ["en-GB", "en-US"])).toBe("en-GB");
  expect(localeFor("en", ["de-AT", "en"])).toBe("en-AT");
  expect(localeFor("en", ["zh-Hans-SG"])).toBe("en-SG");
  expect(localeFor("en", ["fr", "en-150"])).toBe("en-150");
  expect([localeFor("en", ["fr"]), localeFor("en", [])]).toEqual(["en", "en"]);
  expect(localeFor("zh-CN", ["en-GB"])).toBe("zh-CN");
  const at = (locale: string) => new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" }).format(new Date(2026, 0, 1, 17, 5));
  expect([at(localeFor("en", ["en-US"])).replace(/\s/, " "), at(localeFor("en", ["en-GB"])), at(localeFor("en", ["de-DE"]))]).toEqual(["5:05 PM", "17:05", "17:05"]);
});

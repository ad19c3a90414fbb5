import { expect, test } from "vitest";
import { en } from "../../src/i18n/en.ts";
import { languageFor } from "../../src/i18n/index.ts";
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

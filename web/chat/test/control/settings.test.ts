// What the reader chose is applied, stored, and there again.

import { expect, test } from "vitest";
import { Settings } from "../../src/control/settings.ts";
import { language } from "../../src/i18n/index.ts";
import { memoryStore } from "../fakes.ts";

test("what is chosen is applied to the page, stored, and there on the next visit", () => {
  const store = memoryStore();
  const root = { dataset: {} as DOMStringMap };
  const settings = new Settings(store, ["en"]);
  settings.apply(root);
  expect([root.dataset.theme, store.names("")]).toEqual(["system", []]);
  settings.theme.value = "dark";
  settings.sound.value = true;
  settings.notify.value = true;
  settings.setLanguage("zh-CN");
  expect(root.dataset.theme).toBe("dark");
  const next = new Settings(store, ["en"]);
  expect([next.theme.value, next.sound.value, next.notify.value, language.value]).toEqual(["dark", true, true, "zh-CN"]);
  settings.theme.value = "system";
  settings.sound.value = false;
  settings.notify.value = false;
  expect(store.names("")).toEqual(["language"]);
});

test("without a choice the browser's languages decide; what cannot be read is no choice", () => {
  new Settings(memoryStore(), ["fr", "zh-TW"]);
  expect(language.value).toBe("zh-CN");
  const settings = new Settings(memoryStore({ language: "fr", theme: "pink", sound: "yes", notify: "1" }), ["en-GB"]);
  expect([language.value, settings.theme.value, settings.sound.value, settings.notify.value]).toEqual(["en", "system", false, false]);
});

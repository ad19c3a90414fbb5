// The app's own sources cannot turn text into markup or code (X1), and their
// imports point down.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { Centrifuge } from "centrifuge";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../src");
const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((f) => /\.tsx?$/.test(f));
const textOf = (f: string) => readFileSync(join(root, f), "utf8");

test("no sink for markup or code", () => {
  const sink = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setHTML|createContextualFragment|DOMParser|srcdoc|dangerouslySet/;
  for (const f of files) expect(textOf(f).match(sink)?.[0], f).toBeUndefined();
});

// Each layer imports from itself and from those below. Files of the lowest
// layer's three directories do not import each other's.
const layers = [["state", "text", "i18n"], ["client"], ["control"], ["views"], ["embed", ""]];
const directoryOf = (f: string) => (f.includes("/") ? f.split("/")[0]! : "");
const layerOf = (f: string) => layers.findIndex((l) => l.includes(directoryOf(f)));
const importsOf = (f: string) => [...textOf(f).matchAll(/(?:from|import) "(\.[^"]+)"/g)].map(([, path]) => relative(root, resolve(root, dirname(f), path!)));

test("imports point down: state, text, i18n <- client <- control <- views <- main", () => {
  for (const f of files) {
    expect(layerOf(f), `${f} is in no layer`).toBeGreaterThanOrEqual(0);
    for (const imported of importsOf(f)) {
      const isDown = directoryOf(f) === directoryOf(imported) || layerOf(imported) < layerOf(f) || layerOf(f) === layers.length - 1;
      expect(isDown, `${f} imports ${imported}`).toBe(true);
    }
  }
});

test("no file imports itself through others", () => {
  const done = new Set<string>();
  const visit = (f: string, path: readonly string[]): void => {
    expect(path.includes(f), [...path, f].join(" -> ")).toBe(false);
    if (done.has(f)) return;
    for (const imported of importsOf(f)) visit(imported, [...path, f]);
    done.add(f);
  };
  for (const f of files) visit(f, []);
});

// What waits for time to pass gets its time from outside, so that tests need
// not wait.
test("control has its clock, storage and network from outside", () => {
  for (const f of files.filter((x) => x.startsWith("control/"))) expect(textOf(f).match(/\b(setTimeout|setInterval|Date\.now|Math\.random|fetch|localStorage|sessionStorage)\b[.(]?/)?.[0], f).toBeUndefined();
});

test("state touches no page, no network and no clock", () => {
  for (const f of files.filter((x) => /^(state|text)\//.test(x))) expect(textOf(f).match(/\b(document|window|fetch|setTimeout|Date\.now|localStorage)\b[.(]/)?.[0], f).toBeUndefined();
});

test("files are short", () => {
  for (const f of files) expect(textOf(f).split("\n").length, f).toBeLessThan(420);
});

// The banner counts down what the official client keeps to itself.
test("the client still chooses its delays where we listen", () => {
  expect(typeof (Centrifuge.prototype as unknown as { _getReconnectDelay: unknown })._getReconnectDelay).toBe("function");
});

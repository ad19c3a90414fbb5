// The app's own sources know no way to turn text into markup or code (X1), and
// layers look down only.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Centrifuge } from "centrifuge";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../src");
const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((f) => /\.tsx?$/.test(f));
const textOf = (f: string) => readFileSync(join(root, f), "utf8");

test("no sink for markup or code", () => {
  const sink = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setHTML|createContextualFragment|DOMParser|srcdoc|dangerouslySet/;
  for (const f of files) expect(textOf(f).match(sink)?.[0], f).toBeUndefined();
});

test("client <- connection <- state <- views: nobody below knows who is above", () => {
  const above: Record<string, RegExp> = {
    state: /\/(client|connection|control|views|i18n)\//, text: /\.\.\//, client: /\/(connection|control|views)\//, connection: /\/(control|views)\//, control: /\/views\//,
  };
  for (const f of files) {
    const layer = above[f.split("/")[0]!];
    if (!layer) continue;
    for (const [, from] of textOf(f).matchAll(/from "(\.[^"]+)"/g)) expect(layer.test(from!), `${f} imports ${from}`).toBe(false);
  }
});

test("state touches no page, no network and no clock", () => {
  for (const f of files.filter((x) => /^(state|text|connection)\//.test(x))) expect(textOf(f).match(/\b(document|window|fetch|setTimeout|Date\.now|localStorage)\b[.(]/)?.[0], f).toBeUndefined();
});

test("files are short", () => {
  for (const f of files) expect(textOf(f).split("\n").length, f).toBeLessThan(420);
});

// The banner counts down what the official client keeps to itself.
test("the client still chooses its delays where we listen", () => {
  expect(typeof (Centrifuge.prototype as unknown as { _getReconnectDelay: unknown })._getReconnectDelay).toBe("function");
});

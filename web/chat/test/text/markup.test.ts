// X1, X2: text becomes a tree of five kinds and nothing else; links go to
// http, https and mailto; nothing takes long.

import { expect, test } from "vitest";
import { hrefOf, isOnlyEmoji, type MarkupNode, parse } from "../../src/text/markup.ts";
import { cpuTime } from "../cpu.ts";

const flat = (nodes: readonly MarkupNode[]): string => nodes.map((m) => {
  switch (m.type) {
    case "text": return m.text;
    case "bold": return `<b>${flat(m.nodes)}</b>`;
    case "italic": return `<i>${flat(m.nodes)}</i>`;
    case "code": return `<c>${m.text}</c>`;
    case "block": return `<pre>${m.text}</pre>`;
    case "link": return `<a ${m.href}>${m.text}</a>`;
  }
}).join("");
const shown = (s: string) => flat(parse(s));

test("bold, italics, code and blocks", () => {
  expect(shown("a **b** c")).toBe("a <b>b</b> c");
  expect(shown("*a* and _b_")).toBe("<i>a</i> and <i>b</i>");
  expect(shown("**a *b* c**")).toBe("<b>a <i>b</i> c</b>");
  expect(shown("`**x**`")).toBe("<c>**x**</c>");
  expect(shown("before\n```js\nlet a = `b`;\n```\nafter")).toBe("before<pre>let a = `b`;</pre>after");
  expect(shown("你好**世界**！")).toBe("你好<b>世界</b>！");
});

test("what only looks like a mark is text", () => {
  for (const s of ["2 * 3 * 4", "snake_case_name", "a**b", "** a **", "`", "```", "* item\n* item", "**", "a*b*c", "__init__.py"]) expect(shown(s)).toBe(s);
});

test("links, with the sentence's punctuation left outside", () => {
  expect(shown("see https://example.org/a_(b)?c=d#e.")).toBe("see <a https://example.org/a_(b)?c=d#e>https://example.org/a_(b)?c=d#e</a>.");
  expect(shown("(http://example.org)")).toBe("(<a http://example.org/>http://example.org</a>)");
  expect(shown("mailto:ann@example.org!")).toBe("<a mailto:ann@example.org>mailto:ann@example.org</a>!");
  expect(shown("看 https://example.org/路。好")).toBe("看 <a https://example.org/%E8%B7%AF>https://example.org/路</a>。好");
  expect(shown("**https://example.org/**")).toContain("<a https://example.org/>");
});

test("no other scheme becomes a link, however it is written (X2)", () => {
  for (const s of [
    "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", "data:text/html,<script>", "vbscript:x", "file:///etc/passwd",
    "&#106avascript:alert(1)", "ws://example.org", "blob:https://example.org/x", "//example.org", "xhttps:evil", "https:javascript:alert(1)", "https://",
  ]) {
    for (const m of parse(s)) if (m.type === "link") expect(hrefOf(m.href)).toMatch(/^(https?:\/\/|mailto:)/);
    expect(hrefOf(s.replace("https:javascript", "javascript")) ?? "").not.toMatch(/script:/i);
  }
  for (const s of ["ws://example.org/", "ftp://example.org/", "file://host/x"]) expect(hrefOf(s)).toBe(null);
  expect(hrefOf("javascript:alert(1)")).toBe(null);
  expect(hrefOf(" data:text/html,x")).toBe(null);
});

test("hostile texts take no time (X2)", () => {
  const hostile = ["a.".repeat(50_000), "**".repeat(10_000), "*a ".repeat(7_000), "`a".repeat(10_000), "https://".repeat(2_500), "(".repeat(20_000), `https://a${")".repeat(20_000)}`, "_*".repeat(10_000), "```".repeat(6_001), "W".repeat(20_000)];
  for (const s of hostile) {
    expect(cpuTime(() => parse(s.slice(0, 20_000))), s.slice(0, 10)).toBeLessThan(400);
  }
});

test("nothing is lost or made up", () => {
  const text = (nodes: readonly MarkupNode[]): string => nodes.map((m) => ("nodes" in m ? text(m.nodes) : m.text)).join("");
  for (const s of ["<img src=x onerror=alert(1)>", "a <b>c</b>", "\u202Egnirts", "👩‍👩‍👧‍👦 x", "x\n\ny", "&lt;"]) expect(text(parse(s))).toBe(s);
});

test("only emoji are large", () => {
  for (const s of ["👍", "👍🎉", "👩‍👩‍👧‍👦", "🇨🇳 🇬🇧"]) expect(isOnlyEmoji(s)).toBe(true);
  for (const s of ["", "7", "ok 👍", "👍".repeat(6), "#"]) expect(isOnlyEmoji(s)).toBe(false);
});

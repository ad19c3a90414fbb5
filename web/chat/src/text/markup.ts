// The markup of messages as a tree: `code`, ```blocks```, **bold**, *italics*,
// and links. The tree has no HTML and cannot express any; the view makes nodes
// of it.
//
// Every character is read a bounded number of times, whatever the text is.

export type MarkupNode =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "code"; readonly text: string }
  | { readonly type: "block"; readonly text: string }
  | { readonly type: "bold" | "italic"; readonly nodes: readonly MarkupNode[] }
  | { readonly type: "link"; readonly text: string; readonly href: string };

const maxSpan = 2_000; // characters between a sign and the one that ends it

export function parse(text: string): MarkupNode[] {
  const nodes: MarkupNode[] = [];
  let end = 0; // of the last block
  for (let at = text.indexOf("```"); at >= 0; at = text.indexOf("```", end)) {
    const close = text.indexOf("```", at + 3);
    if (close < 0) break;
    if (at > end) nodes.push(...inline(trimEnd(text.slice(end, at)), 0));
    nodes.push({ type: "block", text: text.slice(at + 3, close).replace(/^[\w+-]*\n/, "").replace(/\n$/, "") });
    end = close + 3;
    if (text[end] === "\n") end++;
  }
  if (end < text.length) nodes.push(...inline(text.slice(end), 0));
  return nodes;
}

// The line end before a block belongs to the block.
const trimEnd = (s: string) => (s.endsWith("\n") ? s.slice(0, -1) : s);

const start = /`|\*\*|[*_]|(?:https?:\/\/|mailto:)/giy;

function inline(text: string, depth: number): MarkupNode[] {
  const nodes: MarkupNode[] = [];
  let plain = 0;
  let at = 0;
  const take = (node: MarkupNode, length: number) => {
    if (at > plain) nodes.push({ type: "text", text: text.slice(plain, at) });
    nodes.push(node);
    at += length;
    plain = at;
  };
  while (at < text.length) {
    start.lastIndex = at;
    const sign = start.exec(text)?.[0];
    const found = sign === undefined ? null : nodeAt(text, at, sign, depth);
    if (found) take(...found);
    else at += sign?.length ?? 1;
  }
  if (plain < text.length) nodes.push({ type: "text", text: text.slice(plain) });
  return nodes;
}

function nodeAt(text: string, at: number, sign: string, depth: number): [MarkupNode, number] | null {
  if (sign === "`") return code(text, at);
  if (sign === "**") return wrapped("bold", text, at, "**", depth) ?? null;
  if (sign === "*" || sign === "_") return wrapped("italic", text, at, sign, depth);
  return isWordBefore(text, at) ? null : link(text, at);
}

function code(text: string, at: number): [MarkupNode, number] | null {
  const end = text.slice(at + 1, at + 1 + maxSpan).indexOf("`");
  return end > 0 ? [{ type: "code", text: text.slice(at + 1, at + 1 + end) }, end + 2] : null;
}

// There is no space inside of the signs next to them, and no letter outside:
// 2 * 3 * 4 and snake_case_name are text.
function wrapped(type: "bold" | "italic", text: string, at: number, sign: string, depth: number): [MarkupNode, number] | null {
  const inner = at + sign.length;
  if (depth > 3 || isWordBefore(text, at) || text[at - 1] === sign || /[\s*_]/.test(text[inner] ?? " ")) return null;
  const end = text.slice(inner, inner + maxSpan).indexOf(sign);
  if (end <= 0 || /\s/.test(text[inner + end - 1]!) || isWord(text[inner + end + sign.length])) return null;
  const within = text.slice(inner, inner + end);
  return within.includes("\n\n") ? null : [{ type, nodes: inline(within, depth + 1) }, end + 2 * sign.length];
}

const isWord = (c: string | undefined) => c !== undefined && /[\p{L}\p{N}]/u.test(c) && !/\p{Script=Han}/u.test(c);
const isWordBefore = (text: string, at: number) => isWord(text[at - 1]);

const address = /[^\s<>"'`\u0000-\u001f\u3000-\u303f\uff00-\uff0f\uff1a-\uff20]{1,2000}/uy;

function link(text: string, at: number): [MarkupNode, number] | null {
  address.lastIndex = at;
  const shown = withoutTail(address.exec(text)?.[0] ?? "");
  const href = hrefOf(shown);
  return href === null ? null : [{ type: "link", text: shown, href }, shown.length];
}

// Punctuation at the end of an address belongs to the sentence. A closing
// bracket belongs to the address only when it was opened there.
function withoutTail(s: string): string {
  let end = s.length;
  let open = 0;
  for (const c of s) open += c === "(" ? 1 : c === ")" ? -1 : 0;
  for (; end > 0; end--) {
    const c = s[end - 1]!;
    if (c === ")" && open < 0) open++;
    else if (!/[.,;:!?*_\]}]/.test(c)) break;
  }
  return s.slice(0, end);
}

/** The address as the browser reads it; null unless it is http, https or mailto. */
export function hrefOf(s: string): string | null {
  try {
    const url = new URL(s);
    const whole = url.protocol === "mailto:" ? url.pathname !== "" : url.host !== "";
    return ["http:", "https:", "mailto:"].includes(url.protocol) && whole ? url.href : null;
  } catch {
    return null;
  }
}

/** Whether a text is one to five emoji and nothing else: it is shown large. */
export const isOnlyEmoji = (text: string): boolean =>
  text.length <= 60 && /^\s*[\p{Extended_Pictographic}\p{Regional_Indicator}]/u.test(text) && // quick for most texts
  /^(?:\p{RGI_Emoji}\s?){1,5}$/v.test(text.trim());

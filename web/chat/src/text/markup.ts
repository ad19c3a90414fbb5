// The few marks that a message may have, as a tree: `code`, ```blocks```,
// **bold**, *italics*, and links. The tree has no HTML in it and no way to
// write any; the view builds nodes from it.
//
// Every character is looked at a bounded number of times, whatever is written.

export type Mark =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "code"; readonly text: string }
  | { readonly type: "block"; readonly text: string }
  | { readonly type: "bold" | "italic"; readonly marks: readonly Mark[] }
  | { readonly type: "link"; readonly text: string; readonly href: string };

const farthest = 2_000; // characters between a mark and its end

export function parse(text: string): Mark[] {
  const marks: Mark[] = [];
  let rest = 0;
  for (let at = text.indexOf("```"); at >= 0; at = text.indexOf("```", rest)) {
    const end = text.indexOf("```", at + 3);
    if (end < 0) break;
    if (at > rest) marks.push(...inline(trimEnd(text.slice(rest, at)), 0));
    marks.push({ type: "block", text: text.slice(at + 3, end).replace(/^[\w+-]*\n/, "").replace(/\n$/, "") });
    rest = end + 3;
    if (text[rest] === "\n") rest++;
  }
  if (rest < text.length) marks.push(...inline(text.slice(rest), 0));
  return marks;
}

// The line end before a block is the block's own.
const trimEnd = (s: string) => (s.endsWith("\n") ? s.slice(0, -1) : s);

const start = /`|\*\*|[*_]|(?:https?:\/\/|mailto:)/giy;

function inline(text: string, depth: number): Mark[] {
  const marks: Mark[] = [];
  let plain = 0;
  let at = 0;
  const take = (mark: Mark, length: number) => {
    if (at > plain) marks.push({ type: "text", text: text.slice(plain, at) });
    marks.push(mark);
    at += length;
    plain = at;
  };
  while (at < text.length) {
    start.lastIndex = at;
    const sign = start.exec(text)?.[0];
    const found = sign === undefined ? null : markAt(text, at, sign, depth);
    if (found) take(...found);
    else at += sign?.length ?? 1;
  }
  if (plain < text.length) marks.push({ type: "text", text: text.slice(plain) });
  return marks;
}

function markAt(text: string, at: number, sign: string, depth: number): [Mark, number] | null {
  if (sign === "`") return code(text, at);
  if (sign === "**") return wrapped("bold", text, at, "**", depth) ?? null;
  if (sign === "*" || sign === "_") return wrapped("italic", text, at, sign, depth);
  return isWordBefore(text, at) ? null : link(text, at);
}

function code(text: string, at: number): [Mark, number] | null {
  const end = text.slice(at + 1, at + 1 + farthest).indexOf("`");
  return end > 0 ? [{ type: "code", text: text.slice(at + 1, at + 1 + end) }, end + 2] : null;
}

// The words stand tight within the marks, and the marks at the words' edges:
// 2 * 3 * 4 and snake_case_name are nothing but text.
function wrapped(type: "bold" | "italic", text: string, at: number, sign: string, depth: number): [Mark, number] | null {
  const inner = at + sign.length;
  if (depth > 3 || isWordBefore(text, at) || text[at - 1] === sign || /[\s*_]/.test(text[inner] ?? " ")) return null;
  const end = text.slice(inner, inner + farthest).indexOf(sign);
  if (end <= 0 || /\s/.test(text[inner + end - 1]!) || isWord(text[inner + end + sign.length])) return null;
  const within = text.slice(inner, inner + end);
  return within.includes("\n\n") ? null : [{ type, marks: inline(within, depth + 1) }, end + 2 * sign.length];
}

const isWord = (c: string | undefined) => c !== undefined && /[\p{L}\p{N}]/u.test(c) && !/\p{Script=Han}/u.test(c);
const isWordBefore = (text: string, at: number) => isWord(text[at - 1]);

const address = /[^\s<>"'`\u0000-\u001f\u3000-\u303f\uff00-\uff0f\uff1a-\uff20]{1,2000}/uy;

function link(text: string, at: number): [Mark, number] | null {
  address.lastIndex = at;
  const shown = withoutTail(address.exec(text)?.[0] ?? "");
  const href = hrefOf(shown);
  return href === null ? null : [{ type: "link", text: shown, href }, shown.length];
}

// Punctuation behind an address belongs to the sentence; a closing bracket only
// belongs to the address when it was opened there.
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

/** The address as the browser will take it; null unless it is http, https or mailto. */
export function hrefOf(s: string): string | null {
  try {
    const url = new URL(s);
    const whole = url.protocol === "mailto:" ? url.pathname !== "" : url.host !== "";
    return ["http:", "https:", "mailto:"].includes(url.protocol) && whole ? url.href : null;
  } catch {
    return null;
  }
}

/** Nothing but one to five emoji: shown large. */
export const isOnlyEmoji = (text: string): boolean =>
  text.length <= 60 && /^\s*[\p{Extended_Pictographic}\p{Regional_Indicator}]/u.test(text) && // most texts are told by their first letter
  /^(?:\p{RGI_Emoji}\s?){1,5}$/v.test(text.trim());

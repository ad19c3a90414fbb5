// Text as nodes. Whatever a message says, it reaches the page as text nodes in
// elements of ours; there is no other way.

import { hrefOf, isOnlyEmoji, type Mark, parse } from "../text/markup.ts";

const cache = new Map<string, readonly Mark[]>();
const maxCached = 500;

function marksOf(text: string): readonly Mark[] {
  let marks = cache.get(text);
  if (!marks) {
    if (cache.size >= maxCached) cache.clear();
    marks = parse(text);
    cache.set(text, marks);
  }
  return marks;
}

const show = (marks: readonly Mark[]) => marks.map((m) => {
  switch (m.type) {
    case "text": return m.text;
    case "code": return <code>{m.text}</code>;
    case "block": return <pre tabIndex={0}><code>{m.text}</code></pre>;
    case "bold": return <strong>{show(m.marks)}</strong>;
    case "italic": return <em>{show(m.marks)}</em>;
    case "link": return <Link href={m.href} text={m.text} />;
  }
});

// Asked again at the door: an address that is none of ours is shown as text.
function Link({ href, text }: { href: string; text: string }) {
  const safe = hrefOf(href);
  return safe === null ? <>{text}</> : <a href={safe} target="_blank" rel="noopener noreferrer nofollow ugc">{text}</a>;
}

/** A message's words with their marks. */
export function Words({ text }: { text: string }) {
  return <div class={`text${isOnlyEmoji(text) ? " emoji" : ""}`} dir="auto">{show(marksOf(text))}</div>;
}

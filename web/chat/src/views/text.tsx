// A message's text as nodes. Whatever it says, it gets into the page as text
// nodes in elements that are made here.

import { hrefOf, isOnlyEmoji, type MarkupNode, parse } from "../text/markup.ts";

const cache = new Map<string, readonly MarkupNode[]>();
const maxCached = 500;

function parsed(text: string): readonly MarkupNode[] {
  let nodes = cache.get(text);
  if (!nodes) {
    if (cache.size >= maxCached) cache.clear();
    nodes = parse(text);
    cache.set(text, nodes);
  }
  return nodes;
}

const render = (nodes: readonly MarkupNode[]) => nodes.map((m) => {
  switch (m.type) {
    case "text": return m.text;
    case "code": return <code>{m.text}</code>;
    case "block": return <pre tabIndex={0}><code>{m.text}</code></pre>;
    case "bold": return <strong>{render(m.nodes)}</strong>;
    case "italic": return <em>{render(m.nodes)}</em>;
    case "link": return <Link href={m.href} text={m.text} />;
  }
});

// Checked again here: an address with another scheme is shown as text.
function Link({ href, text }: { href: string; text: string }) {
  const safe = hrefOf(href);
  return safe === null ? <>{text}</> : <a href={safe} target="_blank" rel="noopener noreferrer nofollow ugc">{text}</a>;
}

/** A message's text with its markup. */
export function MessageText({ text }: { text: string }) {
  return <div class={`text${isOnlyEmoji(text) ? " emoji" : ""}`} dir="auto">{render(parsed(text))}</div>;
}

// Commands that publish into a room, each with a button that copies it.

import { signal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { browserClock } from "../client/clock.ts";
import { within } from "../client/deadline.ts";
import { t } from "../i18n/index.ts";
import { channelOf } from "../state/names.ts";
import { useAppContext } from "./context.ts";

export interface ExampleTarget {
  readonly origin: string;
  readonly channel: string;
  readonly redisCLI: string;
  readonly open: boolean;
  hello(from: string): string;
}

// A shell command over several lines, each short enough to be shown whole.
const lines = (...parts: string[]) => parts.join(" \\\n  ");
// A shell would interpret some names. No channel name has a quote.
const quoted = (name: string) => (/^[\w.:-]+$/.test(name) ? name : `'${name}'`);

/** The commands by name. Pure. */
export function commands({ origin, channel, redisCLI, open, hello }: ExampleTarget): Record<"redis" | "curl" | "js" | "serve", string> {
  // It is put between single quotes of a shell, and hello has none.
  const json = (from: string) => JSON.stringify({ content: hello(from) });
  const key = open ? [] : ["-H 'X-API-Key: YOUR_KEY'"];
  const query = new URLSearchParams(channel === "chat" ? {} : { channel });
  if (!open) query.set("token", "YOUR_TOKEN");
  const socket = `${origin.replace(/^http/, "ws")}/websocket${query.size > 0 ? `?${query}` : ""}`;
  return {
    redis: lines(`${redisCLI} PUBLISH ${quoted(channel)}`, `'${json("Redis")}'`),
    curl: lines(`curl ${origin}/publish/${encodeURIComponent(channel)}`, "-H 'Content-Type: application/json'", ...key, `-d '${json("curl")}'`),
    js: ["const ws = new WebSocket(", `  "${socket}");`, "ws.onmessage = (e) => console.log(e.data);", "ws.onopen = () => ws.send(", `  '${json("JavaScript")}');`].join("\n"),
    serve: "magpie serve --redis redis://localhost:6379",
  };
}

export function PublishExamples({ room, compact = false }: { room: string; compact?: boolean }) {
  const { facts } = useAppContext();
  const all = commands({ origin: location.origin, channel: channelOf(room), redisCLI: facts.redisCLI, open: facts.open, hello: (from) => t("hello", from) });
  return (
    <div class={compact ? "examples compact" : "examples"}>
      {facts.redisCLI !== "" && <Example title="redis-cli" command={all.redis} id="redis" />}
      <Example title="curl" command={all.curl} id="curl" />
      <Example title="JavaScript" command={all.js} id="js" />
      {facts.redisCLI === "" && !compact && <Example title={t("examples.redis")} hint={t("examples.redisHint")} command={all.serve} id="serve" />}
    </div>
  );
}

function Example({ title, command, id, hint }: { title: string; command: string; id: string; hint?: string }) {
  return (
    <article class="example" data-example={id}>
      <div class="example-head"><h3>{title}</h3><Copy what={title} text={command} /></div>
      {hint && <p class="hint">{hint}</p>}
      <pre tabIndex={0} role="group" aria-label={title}><code>{command}</code></pre>
    </article>
  );
}

const shownFor = 2_000; // milliseconds
const answerTime = 1_000; // milliseconds that the browser has to copy

function Copy({ what, text }: { what: string; text: string }) {
  const state = useMemo(() => signal<"" | "done" | "failed">(""), []);
  const copy = async (button: HTMLElement) => {
    // The clipboard is there only where the page is secure.
    const done = await within(browserClock, answerTime, false, () => navigator.clipboard.writeText(text).then(() => true));
    state.value = done ? "done" : "failed";
    if (!done) {
      const code = button.closest(".example")?.querySelector("code");
      if (code) getSelection()?.selectAllChildren(code);
    }
    setTimeout(() => { state.value = ""; }, shownFor);
  };
  const label = state.value === "" ? t("copy") : t(`copy.${state.value}`);
  return <button type="button" class="copy" aria-label={state.value === "" ? t("copy.label", what) : label} onClick={(e) => void copy(e.currentTarget)}><span aria-live="polite">{label}</span></button>;
}

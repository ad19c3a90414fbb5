// One message.

import { computed, signal } from "@preact/signals";
import { Component } from "preact";
import type { App } from "../control/app.ts";
import { labelOf } from "../control/author.ts";
import { fullTimeOf, t, timeOf } from "../i18n/index.ts";
import type { Key } from "../i18n/en.ts";
import { type Author, isGuestName, type Message, type Via } from "../state/message.ts";
import { Avatar } from "./avatar.tsx";
import { Editor } from "./editor.tsx";
import { Alert, Clock, Reply } from "./icons.tsx";
import { MessageText } from "./text.tsx";
import { Tools } from "./tools.tsx";

/** The message under the pointer or the focus. */
export const activeKey = signal("");

const maxShown = 4_000; // characters; a button shows the rest

interface Props {
  readonly app: App;
  readonly message: Message;
  readonly head: boolean;
  readonly own: boolean;
  readonly editing: boolean;
  readonly answered: Message | null;
  readonly focusable: boolean;
}

/** The name to show for who published this. */
export function nameOf(author: Author, via: Via | null): string {
  if (author.name !== null) return author.name;
  if (via === "plain" || via === "fcall" || via === "xadd") return t("author.redis");
  if (via === "http") return t("author.http");
  return via === null ? t("author.unknown") : t("author.guest");
}

export class MessageRow extends Component<Props> {
  #all = signal(false);
  #activeKey = computed(() => activeKey.value === this.props.message.key);

  // A new state comes from a signal: the language, or the pointer.
  override shouldComponentUpdate(next: Props, state: unknown): boolean {
    const p = this.props;
    return state !== this.state || next.message !== p.message || next.head !== p.head || next.own !== p.own || next.editing !== p.editing ||
      next.answered !== p.answered || next.focusable !== p.focusable;
  }

  render({ app, message: m, head, own, editing, answered, focusable }: Props) {
    const name = nameOf(m.author, m.via);
    const classes = ["message", head ? "head" : "", own ? "own" : "", m.sendState === "sent" ? "" : m.sendState].join(" ").trim();
    return (
      <li class={classes} data-key={m.key} data-send-state={m.sendState} tabIndex={focusable ? 0 : -1}>
        {answered !== null && <Answered message={answered} />}
        {head
          ? <Avatar author={m.author} name={name} />
          : <time class="aside" dateTime={new Date(m.time).toISOString()} title={fullTimeOf(m.time)} aria-hidden="true">{timeOf(m.time)}</time>}
        {head && <Head message={m} name={name} own={own} />}
        <div class="body">
          {editing ? <Editor app={app} message={m} /> : this.#body(m)}
          {m.edited && !m.deleted && !editing && <span class="edited">({t("edited")})</span>}
        </div>
        {m.sendState !== "sent" && <SendState app={app} message={m} />}
        {m.reactions.length > 0 && <Reactions app={app} message={m} />}
        {this.#activeKey.value && m.sendState === "sent" && !m.deleted && !editing && <Tools app={app} message={m} />}
      </li>
    );
  }

  #body(m: Message) {
    if (m.deleted) return <p class="deleted">{t("deleted")}</p>;
    if (m.format === "binary") return <p class="text binary">{t("binary", m.bytes)}</p>;
    if (m.format === "data") return <pre class="text data" tabIndex={0}><code>{m.text.slice(0, maxShown)}</code></pre>;
    if (this.#all.value || m.text.length <= maxShown) return <MessageText text={m.text} />;
    return <><MessageText text={m.text.slice(0, maxShown)} /><button type="button" class="link" onClick={() => { this.#all.value = true; }}>{t("more")}</button></>;
  }
}

function Head({ message: m, name, own }: { message: Message; name: string; own: boolean }) {
  const isProgram = m.via !== null && m.via !== "sdk";
  return (
    <div class="message-head">
      <bdi class="author">{name}</bdi>
      {m.author.stamped && !m.author.guest && <span class="badge verified" title={t("author.verified")}>✓<span class="visually-hidden"> {t("author.verified")}</span></span>}
      {isGuestName(m.author) && !own && <span class="badge guest" title={t(m.author.stamped ? "author.guest.hint" : "author.claimed.hint")}>{t("author.guest")}</span>}
      {own && <span class="badge you">{t("you")}</span>}
      {isProgram && <span class={`badge via ${m.via === "http" ? "via-http" : m.via === "raw" ? "" : "via-redis"}`} title={t("via.hint", t(`via.${m.via!}` as Key & `via.${Via}`))}>{t(`via.${m.via!}` as Key & `via.${Via}`)}</span>}
      <time dateTime={new Date(m.time).toISOString()} title={fullTimeOf(m.time)}>{timeOf(m.time)}</time>
    </div>
  );
}

function Answered({ message: m }: { message: Message }) {
  return (
    <div class="answered"><Reply /><bdi class="answered-author">{labelOf(m.author, nameOf(m.author, m.via))}</bdi>
      <span class="answered-text">{m.deleted ? t("deleted") : m.text.slice(0, 140)}</span></div>
  );
}

function SendState({ app, message: m }: { app: App; message: Message }) {
  if (m.sendState !== "failed") {
    return <p class="send-state"><Clock />{t(m.sendState === "sending" ? "send.sending" : "send.waiting")}</p>;
  }
  return (
    <p class="send-state failed" role="alert"><Alert />{m.reason ? t("send.failed.why", m.reason) : t("send.failed")}
      <button type="button" class="link" onClick={() => app.sender.retry(m.key)}>{t("send.retry")}</button>
      <button type="button" class="link" onClick={() => app.sender.discard(m.key)}>{t("send.discard")}</button></p>
  );
}

function Reactions({ app, message: m }: { app: App; message: Message }) {
  return (
    <div class="reactions">
      {m.reactions.map((r) => (
        <button key={r.emoji} type="button" class="reaction" aria-pressed={app.isAmong(r.users)} aria-label={t("act.reacted", r.emoji, r.users.length)} onClick={() => void app.react(m, r.emoji)}>
          <span aria-hidden="true">{r.emoji}</span><span aria-hidden="true">{r.users.length}</span>
        </button>
      ))}
    </div>
  );
}

// The text field for a new message. It works with and without a connection;
// each room keeps its draft.

import { signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { labelOf } from "../control/author.ts";
import { t } from "../i18n/index.ts";
import { composerField, isTouch, openDialog, useAppContext } from "./context.ts";
import { fit } from "./editor.tsx";
import { Close, Reply, Send } from "./icons.tsx";
import { isComposing } from "./keys.ts";
import { nameOf } from "./message.tsx";
import { withoutExpired } from "../state/typing.ts";

const overhead = 400; // bytes of a payload besides its text

export function Composer() {
  const { app, facts } = useAppContext();
  const area = useRef<HTMLTextAreaElement>(null);
  const text = useMemo(() => signal(""), []);
  const room = app.current.value;
  const replying = app.replying.value;
  const draft = `draft.${room}`;

  useLayoutEffect(() => {
    composerField.current = area.current;
    area.current!.value = text.value = app.options.local.get(draft) ?? "";
    fit(area.current!);
    if (!isTouch() && document.activeElement === document.body) area.current!.focus();
  }, [room]);
  useEffect(() => { if (replying) area.current?.focus(); }, [replying]);

  const over = tooLong(text.value, facts.maxPayload);
  const changed = (a: HTMLTextAreaElement) => {
    text.value = a.value;
    app.options.local.set(draft, a.value === "" ? null : a.value);
    fit(a);
    if (a.value.trim() !== "") app.typing.typed();
  };
  const send = () => {
    const a = area.current!;
    const content = a.value.trim();
    if (content === "" || tooLong(content, facts.maxPayload) > 0) return;
    app.failure.value = "";
    app.send(content);
    a.value = "";
    changed(a);
    a.focus();
  };
  const onKeyDown = (e: KeyboardEvent) => {
    if (isComposing(e)) return; // the key belongs to the input method
    if (e.key === "Enter" && !e.shiftKey && !e.altKey && (e.ctrlKey || e.metaKey || !isTouch())) {
      e.preventDefault();
      send();
    } else if (e.key === "ArrowUp" && area.current!.value === "" && !e.altKey) {
      editLast(app);
      if (app.editing.value) e.preventDefault();
    } else if (e.key === "Escape" && replying) {
      e.stopPropagation();
      app.replying.value = null;
    }
  };

  return (
    <form class="composer" id="composer" onSubmit={(e) => {
      e.preventDefault();
      send();
    }}>
      {replying && (
        <div class="replying"><Reply /><span class="replying-text"><strong><bdi>{t("reply.to", labelOf(replying.author, nameOf(replying.author, replying.via)))}</bdi></strong> {replying.text.slice(0, 120)}</span>
          <button type="button" class="icon" aria-label={t("reply.cancel")} onClick={() => { app.replying.value = null; }}><Close /></button></div>
      )}
      <div class="field">
        <textarea id="text" ref={area} rows={1} autocomplete="off" enterkeyhint={isTouch() ? "enter" : "send"} dir="auto" aria-label={t("composer.label", room)} placeholder={t("composer.placeholder", room)}
          aria-describedby="composer-state" onKeyDown={onKeyDown} onInput={(e) => changed(e.currentTarget)} />
        <button type="submit" class="send" id="send-message" aria-label={t("composer.send")} title={t("composer.send")} disabled={text.value.trim() === "" || over > 0}><Send /></button>
      </div>
      <div class="composer-foot">
        {!app.options.only && <WritingAs />}
        <p class="typing" id="composer-state">{over > 0 ? <span class="too-long">{t("composer.tooLong", over)}</span> : <TypingLine />}</p>
      </div>
    </form>
  );
}

function WritingAs() {
  const { app } = useAppContext();
  const { name, guest } = app.identity.me.value;
  if (name === "") return <span class="as" />;
  return (
    <p class="as">{t("composer.as")} {guest
      ? <button type="button" class="name-button" id="name" title={t("composer.rename")} aria-label={`${name}. ${t("composer.rename")}`} onClick={() => { openDialog.value = "settings"; }}><bdi>{name}</bdi></button>
      : <bdi class="name" title={t("name.token")}>{name}</bdi>}</p>
  );
}

function TypingLine() {
  const { app } = useAppContext();
  const typists = [...withoutExpired(app.room.value.typing.value, Date.now()).values()].map((x) => x.name);
  if (typists.length === 0) return null;
  const shown = typists.length <= 3 ? typists : typists.slice(0, 2);
  return <span class="typing-line"><span class="dots" aria-hidden="true"><i /><i /><i /></span><bdi>{t("typing", shown, typists.length - shown.length)}</bdi></span>;
}

function tooLong(text: string, maxPayload: number): number {
  if (text.length * 3 < maxPayload - overhead) return 0;
  const bytes = new TextEncoder().encode(JSON.stringify(text)).length;
  return Math.max(0, bytes - (maxPayload - overhead));
}

function editLast(app: ReturnType<typeof useAppContext>["app"]): void {
  const { items } = app.room.value.room.value;
  const last = items.findLast((i) => i.kind === "message" && app.isOwn(i) && !i.deleted && i.format === "chat");
  if (last?.kind === "message" && app.mayChange(last)) app.editing.value = last;
}

// Editing a message in its place.

import { useLayoutEffect, useRef } from "preact/hooks";
import type { App } from "../control/app.ts";
import { t } from "../i18n/index.ts";
import type { Message } from "../state/message.ts";
import { focusComposer, isTouch } from "./context.ts";
import { isComposing } from "./keys.ts";

export function Editor({ app, message: m }: { app: App; message: Message }) {
  const area = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => {
    const a = area.current!;
    a.focus();
    a.setSelectionRange(a.value.length, a.value.length);
    fit(a);
  }, []);
  const done = () => {
    app.editing.value = null;
    focusComposer();
  };
  const save = () => {
    const text = area.current!.value.trim();
    if (text !== "" && text !== m.text) void app.edit(m, text);
    done();
  };
  const onKeyDown = (e: KeyboardEvent) => {
    if (isComposing(e)) return;
    if (e.key === "Escape") {
      e.stopPropagation();
      done();
    } else if (e.key === "Enter" && !e.shiftKey && !isTouch()) {
      e.preventDefault();
      save();
    }
  };
  return (
    <form class="editor" onSubmit={(e) => {
      e.preventDefault();
      save();
    }}>
      <textarea ref={area} rows={1} defaultValue={m.text} aria-label={t("edit.label")} onKeyDown={onKeyDown} onInput={(e) => fit(e.currentTarget)} />
      <div class="editor-row"><button type="submit" class="small">{t("edit.save")}</button><button type="button" class="small quiet" onClick={done}>{t("edit.cancel")}</button></div>
    </form>
  );
}

/** Makes a text field as high as its text, up to the maximum of its style. */
export function fit(area: HTMLTextAreaElement): void {
  // The frame keeps its height while the text is measured: if it became small,
  // the list behind it would grow and scroll.
  const frame = area.parentElement!;
  frame.style.minHeight = `${frame.offsetHeight}px`;
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight + area.offsetHeight - area.clientHeight}px`;
  frame.style.minHeight = "";
}

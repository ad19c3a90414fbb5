// Buttons for one message, shown over the message under the pointer or focus.

import { signal } from "@preact/signals";
import type { App } from "../control/app.ts";
import { t } from "../i18n/index.ts";
import type { Message } from "../state/message.ts";
import { focusComposer, openDialog } from "./context.ts";
import { Bin, Pencil, Reply } from "./icons.tsx";

const emojis = ["👍", "❤️", "😂", "🎉"];

/** The message that the reader is asked whether to delete. */
export const toDelete = signal<Message | null>(null);

export function Tools({ app, message: m }: { app: App; message: Message }) {
  if (m.offset === 0) return null; // without a position nothing can refer to it
  const may = app.mayChange(m);
  return (
    <div class="tools" role="group" aria-label={t("act.menu")}>
      {emojis.map((emoji) => <button key={emoji} type="button" class="tool" aria-label={t("act.reactWith", emoji)} onClick={() => void app.react(m, emoji)}>{emoji}</button>)}
      <button type="button" class="tool" aria-label={t("act.reply")} title={t("act.reply")} onClick={() => {
        app.replying.value = m;
        focusComposer();
      }}><Reply /></button>
      {may && m.format === "chat" && <button type="button" class="tool" aria-label={t("act.edit")} title={t("act.edit")} onClick={() => { app.editing.value = m; }}><Pencil /></button>}
      {may && <button type="button" class="tool" aria-label={t("act.delete")} title={t("act.delete")} onClick={() => {
        toDelete.value = m;
        openDialog.value = "delete";
      }}><Bin /></button>}
    </div>
  );
}

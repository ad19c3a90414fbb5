// A dialog over the page: the browser's own, which keeps the focus inside and
// gives it back.

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { t } from "../i18n/index.ts";
import { focusComposer, openDialog } from "./context.ts";
import { Close } from "./icons.tsx";

interface Props {
  readonly name: typeof openDialog.value;
  readonly title: string;
  readonly class?: string;
  readonly bare?: boolean; // without a visible title
  readonly toComposer?: boolean; // the focus goes to the composer afterwards
  readonly children: ComponentChildren;
}

export function Dialog({ name, title, class: kind = "", bare = false, toComposer = false, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const opener = useRef<Element | null>(null);
  useEffect(() => {
    if (dialog.current!.open) return;
    opener.current = document.activeElement;
    dialog.current!.showModal();
  }, []);
  const closed = () => {
    if (openDialog.value === name) openDialog.value = "";
    // The browser gave the focus back when it closed the dialog, and tells of
    // it later. Who has moved on since then is left where they are.
    const unmoved = document.activeElement === opener.current || document.activeElement === document.body;
    if (toComposer && unmoved) focusComposer();
  };
  return (
    <dialog class={`window ${kind}`} ref={dialog} aria-label={title} onClose={closed} onClick={(e) => { if (e.target === dialog.current) dialog.current!.close(); }}>
      <div class="window-inner">
        {!bare && <div class="window-head"><h2>{title}</h2><button type="button" class="icon" aria-label={t("close")} onClick={() => dialog.current!.close()}><Close /></button></div>}
        {children}
      </div>
    </dialog>
  );
}

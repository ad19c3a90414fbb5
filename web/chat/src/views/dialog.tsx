// A dialog over the page: the browser's own, which keeps the focus inside and
// gives it back.

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { t } from "../i18n/index.ts";
import { openDialog } from "./context.ts";
import { Close } from "./icons.tsx";

interface Props {
  readonly name: typeof openDialog.value;
  readonly title: string;
  readonly class?: string;
  readonly bare?: boolean; // without a visible title
  readonly children: ComponentChildren;
  onClose?(): void;
}

export function Dialog({ name, title, class: kind = "", bare = false, children, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => { if (!dialog.current!.open) dialog.current!.showModal(); }, []);
  const closed = () => {
    if (openDialog.value === name) openDialog.value = "";
    onClose?.();
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

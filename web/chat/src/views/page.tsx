// The page: the room list, the open room and the right panel.

import { computed, type Signal, signal, untracked, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { t } from "../i18n/index.ts";
import { firstUnread } from "../state/unread.ts";
import { FailureNotice, Announcer, ConnectionBanner, TokenForm } from "./banner.tsx";
import { Composer } from "./composer.tsx";
import { openDialog, panelBeside, showsExamples, useAppContext } from "./context.ts";
import { Header } from "./header.tsx";
import { isComposing } from "./keys.ts";
import { navigate } from "./navigate.ts";
import { Panel } from "./panel.tsx";
import { Sidebar } from "./sidebar.tsx";
import { Timeline } from "./timeline.tsx";
import { BellList, Dialogs } from "./dialogs.tsx";

export function Page() {
  const context = useAppContext();
  const { app, facts } = context;
  const atBottom = useMemo(() => signal(true), []);
  const visible = useMemo(() => signal(!document.hidden), []);
  useEffect(() => {
    const visibilityChanged = () => {
      visible.value = !document.hidden;
    };
    document.addEventListener("visibilitychange", visibilityChanged);
    const keys = (e: KeyboardEvent) => shortcut(e, app);
    document.addEventListener("keydown", keys);
    return () => {
      document.removeEventListener("visibilitychange", visibilityChanged);
      document.removeEventListener("keydown", keys);
    };
  }, []);
  // In a visible tab, with the list at its end, everything is read.
  useSignalEffect(() => {
    if (!app.room.value.room.value.loaded) return;
    if (visible.value && atBottom.value) app.readToEnd();
    else untracked(() => app.placeDivider());
  });
  const beside = panelBeside.value && !facts.embedded;
  return (
    <>
      <a class="skip" href="#text">{t("skip")}</a>
      <div class={`app${beside ? " with-panel" : ""}${app.options.only ? " only" : ""}`}>
        {!app.options.only && <aside class="side" aria-label={t("rooms")}><Sidebar /></aside>}
        <main class="room" aria-labelledby="room-name">
          <Header />
          <ConnectionBanner />
          <Room atBottom={atBottom} />
          <TokenForm />
          <FailureNotice />
          <Composer />
          <Announcer />
        </main>
        {beside && <aside class="panel" aria-label={t(showsExamples(context) ? "panel.open" : "panel.people")}><Panel /></aside>}
      </div>
      <Dialogs />
    </>
  );
}

/** The bell alone, in a frame on another site's page. */
export function BellPage() {
  return (
    <main class="bell-page" aria-label={t("bell")}>
      <h1>{t("bell")}</h1>
      <ConnectionBanner /><TokenForm /><BellList />
    </main>
  );
}

function Room({ atBottom }: { atBottom: Signal<boolean> }) {
  const { app } = useAppContext();
  const control = app.room.value;
  const unread = useMemo(() => computed(() => {
    const c = app.room.value;
    return firstUnread(c.room.value.items, c.divider.value, app.isOwn);
  }), []);
  return <Timeline app={app} control={control} room={control.room.value} unread={unread.value} editing={app.editing.value?.key ?? null} atBottom={atBottom} />;
}

function shortcut(e: KeyboardEvent, app: ReturnType<typeof useAppContext>["app"]): void {
  if (isComposing(e)) return;
  const typing = e.target instanceof HTMLElement && e.target.matches("input, textarea");
  if ((e.ctrlKey || e.metaKey) && !e.altKey && !e.shiftKey && e.key.toLowerCase() === "k" && !app.options.only) {
    e.preventDefault();
    openDialog.value = "switch";
  } else if (e.altKey && (e.key === "ArrowUp" || e.key === "ArrowDown") && !app.options.only) {
    e.preventDefault();
    navigate(app, app.neighbour(e.key === "ArrowUp" ? -1 : 1));
  } else if (e.key === "Escape" && openDialog.value === "") {
    app.markRead();
  } else if (e.key === "?" && (!typing || (e.target as HTMLTextAreaElement).value === "" && (e.target as HTMLElement).id === "text")) {
    e.preventDefault();
    openDialog.value = "help";
  }
}

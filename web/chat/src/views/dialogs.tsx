// The dialogs: rooms, shortcuts, settings, the bell, and on small screens what
// is beside the room on large ones.

import { signal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { compare, shortTimeOf, t } from "../i18n/index.ts";
import { isUnread, type Notice, unreadCount } from "../state/bell.ts";
import { roomName } from "../state/names.ts";
import { openDialog, showsExamples, useApp, useAppContext } from "./context.ts";
import { Bell } from "./icons.tsx";
import { isComposing } from "./keys.ts";
import { navigate } from "./navigate.ts";
import { Panel } from "./panel.tsx";
import { Settings } from "./settings.tsx";
import { Sidebar } from "./sidebar.tsx";
import { toDelete } from "./tools.tsx";
import { Dialog } from "./dialog.tsx";

// The keys make each dialog an element of its own: one that was just closed must
// not be reused for the next.
export function Dialogs() {
  const context = useAppContext();
  switch (openDialog.value) {
    case "": return null;
    case "switch": return <Dialog key="switch" name="switch" title={t("rooms.switch")} class="switcher" bare toComposer><Switcher /></Dialog>;
    case "help": return <Dialog key="help" name="help" title={t("help")} toComposer><Shortcuts /></Dialog>;
    case "settings": return <Dialog key="settings" name="settings" title={t("settings")}><Settings /></Dialog>;
    case "bell": return <Dialog key="bell" name="bell" title={t("bell")} class="aside"><BellList /></Dialog>;
    case "rooms": return <Dialog key="rooms" name="rooms" title={t("rooms")} class="drawer left" bare><Sidebar id="add-room-window" /></Dialog>;
    case "panel": return <Dialog key="panel" name="panel" title={t(showsExamples(context) ? "panel.open" : "panel.people")} class="drawer"><Panel /></Dialog>;
    case "delete": return <Dialog key="delete" name="delete" title={t("act.delete")} toComposer><Delete /></Dialog>;
  }
}

function Switcher() {
  const app = useApp();
  const typed = useMemo(() => signal(""), []);
  const at = useMemo(() => signal(0), []);
  const wanted = roomName(typed.value);
  const known = [...app.rooms.value.keys()].filter((n) => n.includes(typed.value.trim().toLowerCase())).sort(compare);
  const list = wanted !== null && !known.includes(wanted) ? [...known, wanted] : known;
  const here = Math.min(at.value, list.length - 1);
  const onKeyDown = (e: KeyboardEvent) => {
    if (isComposing(e)) return;
    if (e.key === "ArrowDown" || e.key === "ArrowUp") {
      e.preventDefault();
      at.value = (here + (e.key === "ArrowDown" ? 1 : list.length - 1)) % Math.max(1, list.length);
    } else if (e.key === "Enter") {
      e.preventDefault();
      const name = list[here];
      if (name) navigate(app, name);
    }
  };
  return (
    <>
      <input class="switcher-input" autofocus autocomplete="off" spellcheck={false} maxLength={80} placeholder={t("rooms.add.placeholder")} aria-label={t("rooms.switch")}
        role="combobox" aria-expanded={true} aria-controls="switcher-list" aria-activedescendant={list[here] ? `switch-${here}` : undefined}
        onKeyDown={onKeyDown} onInput={(e) => {
          typed.value = e.currentTarget.value;
          at.value = 0;
        }} />
      <ul class="switcher-list" id="switcher-list" role="listbox" aria-label={t("rooms")}>
        {list.map((name, i) => (
          <li key={name} id={`switch-${i}`} role="option" aria-selected={i === here} class="switcher-room" onClick={() => navigate(app, name)}>
            <span class="hash" aria-hidden="true">#</span><bdi>{name}</bdi>{!app.rooms.value.has(name) && <span class="hint">{t("rooms.add")}</span>}
          </li>
        ))}
      </ul>
      {typed.value !== "" && list.length === 0 && <p class="hint switcher-hint" role="status">{t("rooms.bad")}</p>}
    </>
  );
}

function Shortcuts() {
  const command = /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘" : "Ctrl";
  const all: readonly (readonly [string, readonly string[]])[] = [
    [t("help.rooms"), [command, "K"]], [t("help.next"), ["Alt", "↑ ↓"]], [t("help.read"), ["Esc"]], [t("help.send"), ["Enter"]],
    [t("help.line"), ["Shift", "Enter"]], [t("help.editLast"), ["↑"]], [t("help.help"), ["?"]],
  ];
  return <dl class="shortcuts">{all.map(([what, keys]) => <div key={what}><dt>{what}</dt><dd>{keys.map((k) => <kbd key={k}>{k}</kbd>)}</dd></div>)}</dl>;
}

/** The user's notices, newest first. */
export function BellList() {
  const { app } = useAppContext();
  const bell = app.bell.bell.value;
  if (bell.notices.length === 0) return <div class="bell-empty"><Bell /><p class="notice-title">{t("bell.none")}</p><p>{t("bell.hint")}</p></div>;
  return (
    <>
      {unreadCount(bell) > 0 && <button type="button" class="small quiet bell-read" id="bell-read" onClick={() => app.bell.readAll()}>{t("bell.read")}</button>}
      <ul class="notices" id="notices">{bell.notices.map((n) => <NoticeRow key={n.key} notice={n} unread={isUnread(bell, n)} />)}</ul>
    </>
  );
}

function NoticeRow({ notice: n, unread }: { notice: Notice; unread: boolean }) {
  const { facts } = useAppContext();
  return (
    <li class={`bell-notice ${n.priority}${unread ? " unread" : ""}`}>
      <div class="bell-notice-head">
        {unread && <span class="dot"><span class="visually-hidden">{t("bell.unread")}</span></span>}
        <strong class="bell-title" dir="auto">{n.title || n.text}</strong>
        {n.priority === "high" && <span class="badge high">{t("bell.high")}</span>}
        <time dateTime={new Date(n.time).toISOString()}>{shortTimeOf(n.time, Date.now())}</time>
      </div>
      {n.title !== "" && n.text !== "" && <p class="bell-text" dir="auto">{n.text}</p>}
      {n.link !== null && <a href={n.link.startsWith("/") ? facts.linkBase + n.link : n.link} target="_blank" rel="noopener noreferrer">{t("bell.open")}</a>}
    </li>
  );
}

function Delete() {
  const app = useApp();
  const m = toDelete.value;
  const close = () => { openDialog.value = ""; };
  return (
    <form method="dialog" class="confirm" onSubmit={(e) => {
      e.preventDefault();
      if (m) void app.remove(m);
      close();
    }}>
      <p>{t("delete.sure")}</p>
      {m && <blockquote dir="auto">{m.text.slice(0, 300)}</blockquote>}
      <div class="confirm-row"><button type="button" class="quiet" onClick={close}>{t("edit.cancel")}</button><button type="submit" class="danger">{t("act.delete")}</button></div>
    </form>
  );
}

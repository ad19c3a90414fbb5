// The list of rooms, and who the reader is.

import { signal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import type { RoomControl } from "../control/room.ts";
import { t } from "../i18n/index.ts";
import { lobby, pathOf, roomName } from "../state/names.ts";
import { Avatar } from "./avatar.tsx";
import { focusComposer, openDialog, useAppContext } from "./context.ts";
import { Close, Gear, Plus, Search } from "./icons.tsx";
import { navigate } from "./navigate.ts";

/** id: the input's; the list beside the room and the one in a dialog differ in it. */
export function Sidebar({ id = "add-room" }: { id?: string }) {
  const { app, facts } = useAppContext();
  return (
    <>
      <div class="brand"><img src={facts.mark} alt="" width="32" height="32" /><span>Magpie</span>
        <button type="button" class="icon brand-search" aria-label={t("rooms.switch")} title={`${t("rooms.switch")} (Ctrl+K)`} onClick={() => { openDialog.value = "switch"; }}><Search /></button></div>
      <nav class="rooms" aria-label={t("rooms")}>
        <h2>{t("rooms")}</h2>
        <ul>{[...app.rooms.value.values()].map((r) => <RoomLink key={r.name} control={r} />)}</ul>
        <AddRoom id={id} />
      </nav>
      <Self />
    </>
  );
}

function RoomLink({ control }: { control: RoomControl }) {
  const { app } = useAppContext();
  const here = app.current.value === control.name;
  const n = here && !document.hidden ? 0 : control.unread.value;
  return (
    <li class="room-item">
      <a class={`room-link${n > 0 ? " has-unread" : ""}`} href={pathOf(control.name)} aria-current={here ? "page" : undefined} onClick={(e) => {
        if (e.ctrlKey || e.metaKey || e.shiftKey) return;
        e.preventDefault();
        navigate(app, control.name);
        focusComposer();
      }}>
        <span class="hash" aria-hidden="true">#</span><bdi class="room-name">{control.name}</bdi>
        {n > 0 && <span class="count"><span aria-hidden="true">{n > 99 ? "99+" : n}</span><span class="visually-hidden">{t("unread", n)}</span></span>}
      </a>
      {control.name !== lobby && <button type="button" class="icon room-leave" aria-label={t("rooms.leave", control.name)} title={t("rooms.leave", control.name)} onClick={() => {
        app.closeRoom(control.name);
        navigate(app, app.current.value);
      }}><Close /></button>}
    </li>
  );
}

function AddRoom({ id }: { id: string }) {
  const { app } = useAppContext();
  const bad = useMemo(() => signal(false), []);
  return (
    <form class="add-room" onSubmit={(e) => {
      e.preventDefault();
      const input = e.currentTarget.elements.namedItem("room") as HTMLInputElement;
      const name = roomName(input.value);
      bad.value = name === null;
      if (name === null) return;
      input.value = "";
      navigate(app, name);
      focusComposer();
    }}>
      <label class="visually-hidden" for={id}>{t("rooms.add")}</label>
      <Plus /><input id={id} name="room" maxLength={80} autocomplete="off" spellcheck={false} placeholder={t("rooms.add")} aria-invalid={bad.value} aria-describedby={`${id}-bad`} onInput={() => { bad.value = false; }} />
      <p class="field-error" id={`${id}-bad`} role="alert">{bad.value ? t("rooms.bad") : ""}</p>
    </form>
  );
}

function Self() {
  const { app } = useAppContext();
  const me = app.identity.me.value;
  return (
    <button type="button" class="self" title={t("settings")} onClick={() => { openDialog.value = "settings"; }}>
      {me.name !== "" && <Avatar author={app.author()} name={me.name} />}
      <span class="self-name"><bdi>{me.name === "" ? t("settings") : me.name}</bdi>{me.guest && me.name !== "" && <small>{t("author.guest")}</small>}</span>
      {me.name !== "" && <span class="visually-hidden">{t("settings")}</span>}<Gear />
    </button>
  );
}

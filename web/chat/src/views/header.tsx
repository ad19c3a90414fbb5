import { t } from "../i18n/index.ts";
import { unreadCount } from "../state/bell.ts";
import { openDialog, panelBeside, showsExamples, useAppContext } from "./context.ts";
import { Bell, Menu, People } from "./icons.tsx";

/** The room's name, who is there, and the bell. */
export function Header() {
  const context = useAppContext();
  const { app, facts } = context;
  const room = app.room.value;
  const people = room.members.value?.size ?? 0;
  const bells = unreadCount(app.bell.bell.value);
  const others = app.unread.value - room.unread.value;
  return (
    <header class="room-head">
      {!app.options.only && <button type="button" class="icon head-menu" aria-label={t("rooms.open")} onClick={() => { openDialog.value = "rooms"; }}><Menu />{others > 0 && <span class="pip" />}</button>}
      <h1 id="room-name"><span class="hash" aria-hidden="true">#</span><bdi>{room.name}</bdi></h1>
      <ConnectionLight />
      {!facts.embedded && people > 0 && (
        <button type="button" class="people-button" id="people-count" aria-label={t("people.count", people)} title={t("people.count", people)} aria-expanded={panelBeside.value} onClick={togglePanel}><People /><span>{people}</span></button>
      )}
      {facts.embedded && people > 0 && <span class="people-plain" title={t("people.count", people)}><People /><span>{people}</span></span>}
      <button type="button" class="icon bell-button" id="bell" aria-label={t("bell.count", bells)} aria-haspopup="dialog" onClick={() => { openDialog.value = "bell"; }}><Bell />{bells > 0 && <span class="bell-count" aria-hidden="true">{bells > 99 ? "99+" : bells}</span>}</button>
      {!facts.embedded && people === 0 && <button type="button" class="icon" aria-label={t(showsExamples(context) ? "panel.open" : "panel.people")} onClick={togglePanel}><People /></button>}
    </header>
  );
}

function togglePanel(): void {
  if (matchMedia("(min-width: 76rem)").matches) panelBeside.value = !panelBeside.value;
  else openDialog.value = "panel";
}

// For sighted readers; screen readers have the banner.
function ConnectionLight() {
  const { app } = useAppContext();
  const online = app.state.value.name === "online";
  return <span class="light" id="line" data-line={app.state.value.name} title={online ? t("line.online") : t("line.reconnecting")} />;
}

// The rows of the list that are not messages, and what is shown above them.

import type { RoomControl } from "../control/room.ts";
import { dayOf, t } from "../i18n/index.ts";
import type { Room, PresenceNote } from "../state/room.ts";
import { showsExamples, useAppContext } from "./context.ts";
import { Lock } from "./icons.tsx";
import { PublishExamples } from "./publish-examples.tsx";

export const DayRow = ({ time }: { time: number }) => <li class="day"><span>{dayOf(time, Date.now())}</span></li>;

export const UnreadRow = () => <li class="unread-divider"><span>{t("divider.unread")}</span></li>;

export const GapRow = ({ id }: { id: string }) => <li class="gap" data-key={id}><span>{t("gap")}</span></li>;

const maxNames = 3; // longer lists end with "and n others"
const condense = (names: readonly string[]): readonly [readonly string[], number] =>
  names.length <= maxNames ? [names, 0] : [names.slice(0, maxNames - 1), names.length - maxNames + 1];

/** "Ann, Bo and 3 others joined". */
export function PresenceNoteRow({ item }: { item: PresenceNote }) {
  const joined = item.joined.length > 0 ? t("joined", ...condense(item.joined)) : "";
  const left = item.left.length > 0 ? t("left", ...condense(item.left)) : "";
  return <li class="presence-note" data-key={item.key}><bdi>{[joined, left].filter((s) => s !== "").join(" · ")}</bdi></li>;
}

/** What is shown above the first message: behind a first page it has one height in all states, so that no row moves with it. */
export function Start({ control, room }: { control: RoomControl; room: Room }) {
  if (room.error === "forbidden") return <div class="notice"><Lock /><p class="notice-title">{t(room.loaded && room.items.length > 0 ? "history.forbidden" : "forbidden.title")}</p><p>{t("forbidden.text")}</p></div>;
  if (room.error === "history") {
    return <div class={room.items.length > 0 ? "start" : "notice"} role="alert"><p>{t("history.error")}</p><button type="button" class="small" onClick={() => void control.older()}>{t("again")}</button></div>;
  }
  if (room.complete) return <p class="start">{t("history.start")}</p>;
  return room.loaded && !room.loading ? <p class="start" aria-hidden="true" /> : <Skeleton bones={room.items.length > 0 ? 1 : 3} />;
}

function Skeleton({ bones }: { bones: 1 | 3 }) {
  return (
    <div class={bones === 1 ? "skeleton start" : "skeleton"} role="status"><span class="visually-hidden">{t("loading")}</span>
      {[0, 1, 2].slice(0, bones).map((i) => <div key={i} class="bone" aria-hidden="true"><span class="bone-face" /><span class="bone-line" /><span class="bone-line short" /></div>)}
    </div>
  );
}

export function EmptyRoom({ room }: { room: Room }) {
  const context = useAppContext();
  const { facts } = context;
  const examples = showsExamples(context);
  return (
    <div class="empty" id="empty">
      <img src={facts.mark} alt="" width="64" height="64" />
      <h2>{t("empty.title")}</h2>
      <p>{t(examples ? "empty.commands" : "empty.text")}</p>
      {examples && <PublishExamples room={room.name} compact />}
    </div>
  );
}

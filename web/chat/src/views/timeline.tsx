// The list of messages. It has at most 300 rows in the page, and the row in
// sight does not move when messages are added above or below.

import { type Signal, signal } from "@preact/signals";
import { Component, createRef, type VNode } from "preact";
import type { App } from "../control/app.ts";
import type { RoomControl } from "../control/room.ts";
import type { Message } from "../state/message.ts";
import type { Item, Room } from "../state/room.ts";
import { pendingRows, type Row, rowsOf } from "../state/rows.ts";
import { type Move, nearEnd, pinned, type Scroll, type ScrollEvent, step } from "../state/scroll.ts";
import { atEnd, afterAppend, pageDown, range, pageUp, type Window } from "../state/window.ts";
import { t } from "../i18n/index.ts";
import { Down } from "./icons.tsx";
import { activeKey, MessageRow } from "./message.tsx";
import { DayRow, EmptyRoom, GapRow, Start, PresenceNoteRow, UnreadRow } from "./rows.tsx";

const windowMargin = 800; // px from an edge of the window at which it is moved
const loadMargin = 600; // px from the top at which older messages are loaded

interface Props {
  readonly app: App;
  readonly control: RoomControl;
  readonly room: Room;
  readonly unread: string | null;
  readonly editing: string | null;
  readonly atBottom: Signal<boolean>;
}

interface Drawn {
  readonly inputs: readonly unknown[]; // what the rows were made of
  readonly rows: readonly VNode[];
  readonly empty: boolean;
}

interface Anchor { readonly key: string; readonly top: number }

export class Timeline extends Component<Props> {
  #box = createRef<HTMLDivElement>();
  #list = createRef<HTMLOListElement>();
  #window: Window = atEnd;
  #scroll: Scroll = pinned;
  #move: Move = "follow";
  #top = 0; // px, where the list was last seen or put
  #resizes: ResizeObserver | null = null;
  #unseen = signal(0);
  #away = signal(false);
  #drawn: Drawn | null = null;

  override componentDidMount(): void {
    this.#resizes = new ResizeObserver(() => {
      this.#look();
      if (this.#scroll.at !== "reading") this.#toEnd();
      this.#fillAbove();
    });
    this.#resizes.observe(this.#box.current!);
    this.#resizes.observe(this.#list.current!);
    this.#toEnd();
  }

  override componentWillUnmount(): void { this.#resizes?.disconnect(); }

  override shouldComponentUpdate(next: Props): boolean {
    this.#look();
    this.#move = this.#scroll.at === "reading" ? "hold" : "follow";
    if (next.control !== this.props.control) {
      this.#window = atEnd;
      this.#scroll = pinned;
      this.#move = "follow";
      this.#publishState();
    } else {
      this.#roomChanged(this.props.room, next.room);
    }
    return true;
  }

  // Moves the window and the scroll state over what was added to the room.
  #roomChanged(before: Room, after: Room): void {
    const added = addedAtEnd(before.items, after.items);
    const fresh = after.items.slice(after.items.length - added);
    const others = fresh.filter((i) => i.kind === "message" && !this.props.app.isOwn(i)).length;
    const own = after.pending.length > before.pending.length && after.pending.at(-1)?.key !== before.pending.at(-1)?.key;
    if (own) this.#apply({ type: "appended", count: 0, own: true });
    if (added > 0) {
      this.#apply({ type: "appended", count: others, own: false });
      this.#window = afterAppend(this.#window, added, this.#scroll.at !== "reading");
    }
    if (own) this.#window = atEnd;
    // What comes in front of the first row is drawn at once: in a list that got
    // shorter for a moment the row in sight could not be held.
    if (this.#scroll.at === "reading" && range(this.#window, before.items.length)[0] === 0 && before.items[0]?.key !== after.items[0]?.key) this.#window = pageUp(this.#window, after.items.length);
    if (this.#scroll.at !== "reading") this.#move = "follow";
  }

  // Notices that the reader has scrolled up. A browser tells it some moments after
  // it has moved the list: what comes in between must not take the reader back.
  #look(): void {
    const box = this.#box.current!;
    const below = box.scrollHeight - box.scrollTop - box.clientHeight;
    if (this.#scroll.at === "pinned" && box.scrollTop < this.#top && below > nearEnd) this.#apply({ type: "scrolled", fromEnd: below });
  }

  #apply(e: ScrollEvent): void {
    const [scroll, move] = step(this.#scroll, e);
    this.#scroll = scroll;
    if (move === "follow") this.#move = "follow";
    this.#publishState();
  }

  // In signals, so that the button is drawn without the list.
  #publishState(): void {
    this.#unseen.value = this.#scroll.at === "reading" ? this.#scroll.unseen : 0;
    this.#away.value = this.#scroll.at === "reading";
    this.props.atBottom.value = this.#scroll.at !== "reading";
  }

  override getSnapshotBeforeUpdate(): Anchor | null { return this.#move === "follow" ? null : this.#anchor(); }

  // The first row in sight.
  #anchor(): Anchor | null {
    const edge = this.#box.current!.getBoundingClientRect().top;
    for (const row of this.#list.current!.children as unknown as Iterable<HTMLElement>) {
      const { top, bottom } = row.getBoundingClientRect();
      if (bottom > edge && row.dataset.key) return { key: row.dataset.key, top };
    }
    return null;
  }

  override componentDidUpdate(_p: Props, _s: unknown, anchor: Anchor | null): void {
    if (this.#move === "follow") this.#toEnd();
    else if (anchor) this.#holdAt(anchor);
    this.#fillAbove();
  }

  #holdAt(anchor: Anchor): void {
    const row = this.#list.current!.querySelector<HTMLElement>(`[data-key="${CSS.escape(anchor.key)}"]`);
    if (row) this.#box.current!.scrollTop += row.getBoundingClientRect().top - anchor.top;
  }

  #toEnd(): void {
    const box = this.#box.current!;
    if (this.#window.fromEnd === 0) box.scrollTop = box.scrollHeight;
    this.#top = box.scrollTop;
    if (this.#scroll.at === "jumping") this.#apply({ type: "arrived" });
    this.#move = "hold";
  }

  #onScroll = (): void => {
    const box = this.#box.current!;
    const below = box.scrollHeight - box.scrollTop - box.clientHeight;
    const fromEnd = this.#window.fromEnd > 0 ? Infinity : below;
    this.#top = box.scrollTop;
    this.#apply({ type: "scrolled", fromEnd });
    this.#move = "hold";
    if (below < windowMargin && box.scrollTop >= windowMargin) this.#moveWindow(pageDown(this.#window));
    this.#fillAbove();
  };

  // Shows or loads what is above before the reader gets there. Also called after
  // a page was loaded: at the very top there is no further scroll event. A list
  // that is not shown, as in a closed window, has no height that says how much
  // is missing: it loads nothing.
  #fillAbove(): void {
    const box = this.#box.current!;
    if (box.clientHeight === 0) return;
    const total = this.props.room.items.length;
    const short = box.scrollHeight <= box.clientHeight; // it cannot be scrolled
    if (this.#scroll.at !== "reading" && !short) return;
    // A page that failed is retried by the room, or when the reader asks.
    if (box.scrollTop < loadMargin && range(this.#window, total)[0] === 0 && this.props.room.error === null) void this.props.control.older();
    if (box.scrollTop < windowMargin) this.#moveWindow(pageUp(this.#window, total));
  }

  // Draws at once, so that the scroll position is corrected before it is painted.
  #moveWindow(to: Window): void {
    if (to === this.#window) return;
    const anchor = this.#anchor();
    this.#window = to;
    this.#move = "hold";
    this.forceUpdate(() => { if (anchor) this.#holdAt(anchor); });
  }

  /** The reader wants to see the newest message. */
  jump = (): void => {
    this.#apply({ type: "jump" });
    this.#window = atEnd;
    this.forceUpdate(() => {
      this.#scroll = { at: "jumping" };
      this.#toEnd();
    });
  };

  #onKeyDown = (e: KeyboardEvent): void => {
    if (e.target === this.#box.current && e.key === "End") {
      e.preventDefault();
      return this.jump();
    }
    const row = (e.target as HTMLElement).closest<HTMLElement>("li.message");
    if (!row || row !== e.target || (e.key !== "ArrowUp" && e.key !== "ArrowDown")) return;
    e.preventDefault();
    const rows = [...this.#list.current!.querySelectorAll<HTMLElement>("li.message")];
    rows[rows.indexOf(row) + (e.key === "ArrowUp" ? -1 : 1)]?.focus();
  };

  #onPoint = (e: Event): void => {
    activeKey.value = (e.target as HTMLElement).closest<HTMLElement>("li.message")?.dataset.key ?? "";
  };

  render({ app, control, room, unread, editing }: Props) {
    const [start, end] = range(this.#window, room.items.length);
    const drawn = this.#draw(app, room, start, end, unread, editing);
    const empty = drawn.empty && room.loaded && room.complete;
    return (
      <div class="timeline">
        <div class="scroll" id="scroll" ref={this.#box} tabIndex={0} role="log" aria-live="off" aria-label={t("messages.of", room.name)} aria-busy={room.loading}
          onScroll={this.#onScroll} onKeyDown={this.#onKeyDown} onPointerOver={this.#onPoint} onFocusIn={this.#onPoint} onPointerLeave={() => { activeKey.value = ""; }}>
          {start === 0 && !empty && <Start control={control} room={room} />}
          {empty && <EmptyRoom room={room} />}
          <ol class="messages" id="messages" ref={this.#list}>{drawn.rows}</ol>
        </div>
        <Jump away={this.#away} unseen={this.#unseen} jump={this.jump} />
      </div>
    );
  }

  // The same inputs give the same nodes, which Preact does not compare again.
  #draw(app: App, room: Room, start: number, end: number, unread: string | null, editing: string | null): Drawn {
    const inputs = [room.items, room.pending, start, end, unread, editing, app.identity.me.value.user];
    if (this.#drawn?.inputs.every((v, i) => v === inputs[i])) return this.#drawn;
    const rows = [...rowsOf(room.items, start, end, unread), ...(end === room.items.length ? pendingRows(room) : [])];
    const last = rows.findLast((r) => r.type === "message")?.key;
    this.#drawn = {
      inputs,
      rows: rows.map((row) => this.#row(app, room, row, editing, row.key === last)),
      empty: rows.every((r) => r.type === "other" && r.item.kind === "presence"),
    };
    return this.#drawn;
  }

  #row(app: App, room: Room, row: Row, editing: string | null, last: boolean) {
    switch (row.type) {
      case "day": return <DayRow key={row.key} time={row.time} />;
      case "unread": return <UnreadRow key="unread" />;
      case "other": return row.item.kind === "gap" ? <GapRow key={row.key} id={row.key} /> : <PresenceNoteRow key={row.key} item={row.item} />;
      case "message":
        return <MessageRow key={row.key} app={app} message={row.message} head={row.head} own={app.isOwn(row.message)} focusable={last}
          editing={row.message.key === editing} answered={row.message.re === null ? null : findMessage(room, row.message.re)} />;
    }
  }
}

const findMessage = (room: Room, key: string): Message | null => {
  if (!room.keys.has(key)) return null;
  const found = room.items.findLast((i) => i.key === key);
  return found?.kind === "message" ? found : null;
};

// How many items were appended.
function addedAtEnd(before: readonly Item[], after: readonly Item[]): number {
  const last = before.at(-1);
  if (before === after) return 0;
  if (!last) return after.length;
  const at = after.findLastIndex((i) => i.key === last.key);
  return at < 0 ? 0 : after.length - 1 - at;
}

function Jump({ away, unseen, jump }: { away: Signal<boolean>; unseen: Signal<number>; jump: () => void }) {
  if (!away.value) return null;
  const label = unseen.value === 0 ? t("jump.none") : t("jump", unseen.value);
  return <button type="button" class={`jump${unseen.value > 0 ? " new" : ""}`} id="latest" onClick={jump}><Down />{label}</button>;
}

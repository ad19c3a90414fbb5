// The app: its parts, and what happens when something happens. Views read its
// signals and call its methods; nothing here touches the page.

import { batch, computed, effect, type Signal, signal } from "@preact/signals";
import type { Clock } from "../client/clock.ts";
import type { Connection, ConnectionOptions } from "../client/connection.ts";
import type { API } from "../client/http.ts";
import type { Store } from "../client/store.ts";
import { t } from "../i18n/index.ts";
import { type Notice, unreadCount } from "../state/bell.ts";
import { mayChange } from "../state/change.ts";
import { type ConnectionState, stateAfter } from "../state/connection.ts";
import { type Author, colorOf, type Message, personOf } from "../state/message.ts";
import { lobby, roomName } from "../state/names.ts";
import { isPosition, type Position } from "../state/position.ts";
import { firstUnread } from "../state/unread.ts";
import { Announcer } from "./announcer.ts";
import { labelOf } from "./author.ts";
import { BellControl } from "./bell.ts";
import { Identity } from "./identity.ts";
import { Notifier } from "./notify.ts";
import { PresenceControl } from "./presence.ts";
import { RoomControl } from "./room.ts";
import { Sender } from "./sender.ts";
import type { Settings } from "./settings.ts";
import type { Tabs } from "./tabs.ts";
import { TypingControl } from "./typing.ts";

const maxRooms = 30;
const closingTime = 5_000; // milliseconds after which a page that is left holds nothing
const maxRenewals = 4; // tokens that are tried until one connects
const isNames = (v: unknown): v is string[] => Array.isArray(v) && v.every((n) => typeof n === "string" && roomName(n) === n);

export interface AppOptions {
  readonly api: API;
  readonly clock: Clock;
  readonly local: Store; // kept in the browser
  readonly session: Store; // kept until the tab is closed
  readonly tabs: Tabs;
  readonly settings: Settings;
  readonly hasNetwork: boolean;
  readonly first: string; // the room of the address
  readonly only: boolean; // an embedded page shows one room
  readonly bellOnly: boolean; // or the bell and no room
  readonly personal: string; // what the names of personal channels start with
  connect(o: Pick<ConnectionOptions, "token" | "changed" | "personal">): Connection;
  /** Asks the embedding page for a new token; null where there is none. */
  readonly askHost: (() => Promise<string>) | null;
}

export class App {
  readonly identity: Identity;
  readonly connection: Connection;
  readonly sender: Sender;
  readonly presence: PresenceControl;
  readonly typing: TypingControl;
  readonly bell: BellControl;
  readonly announcer: Announcer;
  readonly state: Signal<ConnectionState>;
  readonly wasOnline = signal(false);
  readonly hasNetwork: Signal<boolean>;
  readonly rooms = signal<ReadonlyMap<string, RoomControl>>(new Map());
  readonly current: Signal<string>;
  readonly replying = signal<Message | null>(null);
  readonly editing = signal<Message | null>(null);
  /** Why the last change of a message failed; "" when it did not. */
  readonly failure = signal("");
  readonly room = computed(() => this.rooms.value.get(this.current.value)!);
  readonly unread = computed(() => [...this.rooms.value.values()].reduce((n, r) => n + r.unread.value, 0));
  readonly title = computed(() => this.#title());
  readonly #notifier: Notifier;
  #renewals = 0; // since the last connection
  #started = false;

  constructor(readonly options: AppOptions) {
    const { api, clock, local, session, tabs, askHost, personal } = options;
    const { hidden } = tabs;
    this.state = signal<ConnectionState>({ name: "connecting", since: clock.now() });
    this.hasNetwork = signal(options.hasNetwork);
    this.current = signal(options.first);
    this.announcer = new Announcer(clock);
    this.#notifier = new Notifier(tabs, clock);
    this.identity = new Identity({ api, clock, local, session, askHost });
    const connection = this.connection = options.connect({
      token: () => this.identity.renew(),
      changed: (state) => this.#connectionChanged(state),
      personal: { subscribed: (c) => this.bell.serverSubscribed(c), message: (c, w) => this.bell.serverMessage(c, w) },
    });
    const self = () => `user ${this.identity.me.value.user}`;
    const nameOf = (a: Author) => labelOf(a, a.name ?? t("author.guest"));
    this.sender = new Sender(local, `outbox.${tabs.id}`, {
      connection, clock, room: (name) => this.rooms.value.get(name), author: () => this.author(), reason: (code, text) => this.#reason(code, text),
    });
    this.presence = new PresenceControl({ connection, clock, hidden, self, nameOf });
    this.typing = new TypingControl({ connection, clock, self, nameOf });
    this.bell = new BellControl({
      connection, api, clock, personal, store: local, token: () => this.identity.me.value.token, user: () => this.identity.me.value.user, arrived: (n) => this.#noticeArrived(n),
    });
  }

  /** Adds the rooms of the last visit. They are empty until start. */
  addRooms(): void {
    const { local, first, only, bellOnly } = this.options;
    if (bellOnly) return;
    const names = only ? [first] : [...new Set([lobby, ...local.getJSON("rooms", [], isNames), ...this.sender.rooms, first])].slice(0, maxRooms);
    batch(() => names.forEach((n) => this.#add(n)));
    this.openRoom(first);
  }

  /** Reads the logs and connects. given is a host's token, or "". */
  async start(given: string): Promise<void> {
    const token = await this.#firstToken(given);
    this.#started = true;
    for (const room of this.rooms.value.values()) this.#open(room);
    void this.#adoptOutboxes();
    // A page that is reloaded may still hold its id while the new one starts.
    this.options.clock.after(closingTime, () => void this.#adoptOutboxes());
    if (this.identity.locked.value === "") this.connection.connect(token);
  }

  // Takes over what closed tabs have not sent.
  async #adoptOutboxes(): Promise<void> {
    const tabs = this.options.local.names("outbox.").map((n) => n.slice("outbox.".length));
    for (const tab of await this.options.tabs.closed(tabs)) this.sender.adopt(`outbox.${tab}`);
  }

  // The page works before the server answers: it asks again until it does.
  async #firstToken(given: string): Promise<string> {
    const { clock } = this.options;
    for (let i = 0; ; i++) {
      try {
        return await this.identity.firstToken(given);
      } catch {
        const delay = Math.min(10_000, 500 * 2 ** i) * (0.5 + clock.random() / 2);
        await new Promise<void>((resolve) => clock.after(delay, resolve));
      }
    }
  }

  // The reader

  author(): Author {
    const { user, name, color, guest, moderator } = this.identity.me.value;
    return { user, client: "", name: name === "" ? null : name, color: user === "" ? colorOf(name) : color, guest, stamped: user !== "", moderator };
  }

  readonly isOwn = (m: Message): boolean => {
    const { user } = this.identity.me.value;
    return m.sendState !== "sent" || (user !== "" ? m.author.user === user : m.author.client !== "" && m.author.client === this.#client);
  };

  mayChange(m: Message): boolean { return m.sendState === "sent" && m.offset > 0 && mayChange(m.author, this.author()); }

  /** Whether the reader is among these people. */
  isAmong(people: readonly string[]): boolean { return people.includes(this.#person()); }

  get #client(): string { return this.state.value.name === "online" ? this.state.value.client : "-"; }

  #person(): string { return personOf({ ...this.author(), client: this.#client }); }

  // Rooms

  openRoom(name: string): void {
    if (!this.rooms.value.has(name)) this.#add(name);
    this.placeDivider();
    this.current.value = name;
    this.replying.value = null;
    this.editing.value = null;
    const room = this.rooms.value.get(name)!;
    room.divider.value = room.mark.value;
    this.typing.watch(room);
    this.presence.watch(room);
    this.#storeRooms();
  }

  closeRoom(name: string): void {
    if (name === lobby) return;
    const order = [...this.rooms.value.keys()];
    if (this.current.value === name) this.openRoom(order[order.indexOf(name) - 1] ?? lobby);
    this.rooms.value.get(name)?.close();
    const rooms = new Map(this.rooms.value);
    rooms.delete(name);
    this.rooms.value = rooms;
    this.#storeRooms();
  }

  /** The next or the previous room of the list. */
  neighbour(by: 1 | -1): string {
    const order = [...this.rooms.value.keys()];
    return order[(order.indexOf(this.current.value) + by + order.length) % order.length]!;
  }

  #add(name: string): void {
    const { api, clock, local, tabs } = this.options;
    const mark = local.getJSON<Position | null>(`mark.${name}`, null, isPosition);
    const room = new RoomControl(name, mark, {
      api, clock, connection: this.connection, hidden: tabs.hidden,
      token: () => this.identity.me.value.token,
      isOwn: this.isOwn,
      inLog: (messages) => this.sender.inLog(messages),
      arrived: (r, messages) => this.#messagesArrived(r, messages),
      ready: (r) => {
        this.sender.showPending(r.name);
        this.sender.sendNext();
      },
    });
    this.rooms.value = new Map(this.rooms.value).set(name, room);
    if (this.#started) this.#open(room);
    this.sender.showPending(name);
    effect(() => { if (room.mark.value !== mark) local.setJSON(`mark.${name}`, room.mark.value); });
  }

  #open(room: RoomControl): void {
    room.open(() => { if (this.current.value === room.name) this.presence.refreshSoon(); });
  }

  #storeRooms(): void {
    if (!this.options.only) this.options.local.setJSON("rooms", [...this.rooms.value.keys()]);
  }

  // What the reader does

  send(content: string): void {
    const re = this.replying.value?.key ?? null;
    this.replying.value = null;
    this.typing.sent();
    this.sender.send(this.current.value, content, re);
  }

  edit(m: Message, content: string): Promise<void> { return this.#change({ type: "edit", of: m.key, content }); }
  remove(m: Message): Promise<void> { return this.#change({ type: "delete", of: m.key }); }

  react(m: Message, emoji: string): Promise<void> {
    const reacted = this.isAmong(m.reactions.find((r) => r.emoji === emoji)?.users ?? []);
    return this.#change({ type: "reaction", of: m.key, emoji, on: !reacted });
  }

  async #change(payload: object): Promise<void> {
    try {
      await this.connection.publish(this.room.value.channel, payload);
    } catch (e) {
      const { code = 0, message = "" } = e as { code?: number; message?: string };
      this.failure.value = t("send.failed.why", this.#reason(code, message));
    }
  }

  /** The reader sees the end of the open room: all of it is read. */
  readToEnd(): void {
    const room = this.room.value;
    const { items } = room.room.peek();
    // The divider stays while there is something behind it.
    if (firstUnread(items, room.divider.peek(), this.isOwn) === null) room.divider.value = null;
    room.readAll();
  }

  /** The reader no longer sees the end: what comes from now on is behind a divider. */
  placeDivider(): void {
    const room = this.rooms.peek().get(this.current.peek());
    if (room && room.unread.peek() === 0) room.divider.value = room.mark.peek();
  }

  /** All is read, and the divider goes. */
  markRead(): void {
    this.room.value.readAll();
    this.room.value.divider.value = null;
  }

  async rename(name: string): Promise<void> {
    const token = await this.identity.rename(name);
    this.connection.reconnect(token);
  }

  /** Takes a token from the reader or from the host application. */
  useToken(token: string): void { this.#reconnectWith(this.identity.useHostToken(token)); }

  /** Another tab changed a value in the local store. */
  storeChanged(name: string): void {
    if (name === "guest") {
      const token = this.identity.takeStored();
      if (token !== null) this.connection.reconnect(token);
    } else if (name.startsWith("mark.")) {
      const room = this.rooms.value.get(name.slice("mark.".length));
      const mark = this.options.local.getJSON<Position | null>(name, null, isPosition);
      if (room && mark && (mark.epoch !== room.mark.value?.epoch || mark.offset > room.mark.value.offset)) room.mark.value = mark;
    }
  }

  #reconnectWith(token: string): void {
    this.connection.reconnect(token);
    for (const room of this.rooms.value.values()) if (room.room.value.error) void room.older();
  }

  // What happens

  #connectionChanged(next: ConnectionState): void {
    this.state.value = stateAfter(this.state.value, next);
    if (next.name === "online") {
      this.#renewals = 0;
      this.wasOnline.value = true;
      this.presence.refreshSoon();
      this.bell.connected();
    } else {
      for (const room of this.rooms.value.values()) room.live.value = false;
      this.sender.interrupted();
    }
    if (next.name === "stopped") void this.#stopped(next.code);
  }

  // 3500: the token is not one of this server's, as after a restart with new
  // keys. 1 and 3 are the client's own: unauthorized, and message too large.
  async #stopped(code: number): Promise<void> {
    if (code === 3) {
      this.sender.tooLarge(t("error.tooBig"));
      return this.connection.retry();
    }
    if ((code !== 3500 && code !== 1) || this.#renewals++ >= maxRenewals) return;
    try {
      const token = await this.identity.renew();
      if (this.identity.locked.value === "") this.#reconnectWith(token);
    } catch {
      this.options.clock.after(2_000, () => void this.#stopped(code));
    }
  }

  #messagesArrived(room: RoomControl, messages: readonly Message[]): void {
    const others = messages.filter((m) => !this.isOwn(m));
    const last = others.at(-1);
    if (!last) return;
    const { settings, tabs } = this.options;
    const isShown = room.name === this.current.value;
    const nameOf = (m: Message) => labelOf(m.author, m.author.name ?? t("author.unknown"));
    if (isShown) for (const m of others) this.announcer.message(nameOf(m), m.text);
    if (settings.sound.value && (tabs.hidden() || !isShown)) this.#notifier.playSound();
    if (settings.notify.value && tabs.hidden()) {
      this.#notifier.show(t("notify.title", nameOf(last), room.name), last.text, `room ${room.name}`, () => this.openRoom(room.name));
    }
  }

  #noticeArrived(n: Notice): void {
    const title = n.title || n.text;
    const text = n.title ? n.text : "";
    const { settings } = this.options;
    if (settings.sound.value) this.#notifier.playSound();
    if (settings.notify.value) this.#notifier.show(title, text, `bell ${n.key}`, () => {});
    this.announcer.notice(title, text);
  }

  #reason(code: number, text: string): string {
    if (code === 103 || code === 101) return t("error.denied");
    if (code === 106) return t("error.tooBig");
    return code >= 100 ? t("error.other", code) : text;
  }

  #title(): string {
    const n = this.unread.value + unreadCount(this.bell.bell.value);
    const name = `#${this.current.value} · Magpie`;
    return n === 0 ? name : `(${n > 99 ? "99+" : n}) ${name}`;
  }
}

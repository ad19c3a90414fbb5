// The app: what it is made of, and what happens when something happens. Views
// read its signals and call its verbs; nothing here touches the page.

import { batch, computed, effect, type Signal, signal } from "@preact/signals";
import { Link, type Line } from "../client/link.ts";
import type { Shelf } from "../client/shelf.ts";
import { lineAfter } from "../connection/banner.ts";
import { t } from "../i18n/index.ts";
import { type Author, type Message, toneOf } from "../state/message.ts";
import { mayChange } from "../state/change.ts";
import { lobby, roomName } from "../state/names.ts";
import { unreadCount } from "../state/bell.ts";
import { firstUnread, type Mark } from "../state/unread.ts";
import { BellControl } from "./bell.ts";
import { Company } from "./company.ts";
import { Identity } from "./identity.ts";
import { chime, notify } from "./notify.ts";
import { RoomControl } from "./room.ts";
import { Sender } from "./sender.ts";
import type { Settings } from "./settings.ts";
import type { Tabs } from "./tabs.ts";

const mostRooms = 30;
const isNames = (v: unknown): v is string[] => Array.isArray(v) && v.every((n) => typeof n === "string" && roomName(n) === n);
const isMark = (v: unknown): v is Mark => typeof (v as Mark | null)?.epoch === "string" && typeof (v as Mark).offset === "number";

export interface Setup {
  readonly kept: Shelf;
  readonly tab: Shelf;
  readonly tabs: Tabs;
  readonly settings: Settings;
  readonly socket: string; // URL of the Centrifuge door
  readonly first: string; // the room of the address
  readonly only: boolean; // an embedded page shows one room
  readonly bellOnly: boolean; // or none, but the bell
  askHost: (() => Promise<string>) | null;
}

export class App {
  readonly identity: Identity;
  readonly link: Link;
  readonly sender: Sender;
  readonly company: Company;
  readonly bell: BellControl;
  readonly line = signal<Line>({ name: "connecting", since: Date.now() });
  readonly wasOnline = signal(false);
  readonly hasNetwork = signal(navigator.onLine);
  readonly rooms = signal<ReadonlyMap<string, RoomControl>>(new Map());
  readonly current: Signal<string>;
  readonly replying = signal<Message | null>(null);
  readonly editing = signal<Message | null>(null);
  readonly spoken = signal("");
  readonly alarm = signal("");
  readonly unread = computed(() => [...this.rooms.value.values()].reduce((n, r) => n + r.unread.value, 0));
  readonly room = computed(() => this.rooms.value.get(this.current.value)!);
  #renewals = 0;
  #toSpeak: string[] = [];
  #speaking = 0;
  #own = "";
  #begun = false;

  constructor(readonly setup: Setup) {
    const { kept, tab, tabs } = setup;
    this.current = signal(setup.first);
    this.identity = new Identity(kept, tab, setup.askHost);
    this.link = new Link({
      url: setup.socket,
      token: () => this.identity.renew(),
      onLine: (line) => this.#lineIs(line),
      own: { joined: (c) => this.#ownIs(c), message: (c, w) => { if (c === this.#own) this.bell.message(w); } },
    });
    const room = (name: string) => this.rooms.value.get(name);
    this.sender = new Sender(kept, `outbox.${tabs.id}`, { link: this.link, room, author: () => this.author(), reason: (code, text) => this.#reason(code, text) });
    this.company = new Company(this.link, () => `user ${this.identity.me.value.user}`, (a) => a.name ?? t("author.guest"));
    this.bell = new BellControl(this.link, kept, () => this.identity.me.value.token, (n) => this.#rang(n.title || n.text, n.title ? n.text : "", n.key));
  }

  /** Makes the rooms; they are empty until start. */
  enter(): void {
    const { kept, first, only, bellOnly } = this.setup;
    if (bellOnly) return;
    const names = only ? [first] : [...new Set([lobby, ...kept.json("rooms", [], isNames), ...this.sender.rooms, first])].slice(0, mostRooms);
    batch(() => names.forEach((n) => this.#add(n)));
    this.goTo(first);
  }

  /** Reads the logs and connects. given is a host's token, or "". */
  async start(given: string): Promise<void> {
    const token = await this.#tokenToBegin(given);
    this.#begun = true;
    for (const room of this.rooms.value.values()) this.#open(room);
    for (const other of await this.setup.tabs.orphans(this.setup.kept.names("outbox.").map((n) => n.slice("outbox.".length)))) this.sender.adopt(`outbox.${other}`);
    if (this.identity.locked.value === "") this.link.connect(token);
    effect(() => { document.title = this.#title(); });
  }

  // The page works before the server answers: it asks again until it does.
  async #tokenToBegin(given: string): Promise<string> {
    for (let i = 0; ; i++) {
      try {
        return await this.identity.begin(given);
      } catch {
        this.line.value = { name: "connecting", since: this.line.value.name === "connecting" ? this.line.value.since : Date.now() };
        await new Promise((resolve) => setTimeout(resolve, Math.min(10_000, 500 * 2 ** i) * (0.5 + Math.random() / 2)));
      }
    }
  }

  author(): Author {
    const { user, name, color, guest, moderator } = this.identity.me.value;
    return { user, client: "", name: name === "" ? null : name, color: user === "" ? toneOf(name) : color, guest, stamped: user !== "", moderator };
  }

  readonly isOwn = (m: Message): boolean => {
    const { user } = this.identity.me.value;
    return m.fate !== "sent" || (user !== "" ? m.author.user === user : m.author.client !== "" && m.author.client === this.#client);
  };

  mayChange(m: Message): boolean { return m.fate === "sent" && m.offset > 0 && mayChange(m.author, this.author()); }

  get #client(): string { return this.line.value.name === "online" ? this.line.value.client : "-"; }

  // Rooms

  goTo(name: string): void {
    if (!this.rooms.value.has(name)) this.#add(name);
    this.lookedAway();
    this.current.value = name;
    this.replying.value = null;
    this.editing.value = null;
    const room = this.rooms.value.get(name)!;
    room.divider.value = room.mark.value;
    this.company.attend(room);
    this.#keepRooms();
  }

  close(name: string): void {
    if (name === lobby) return;
    const order = [...this.rooms.value.keys()];
    if (this.current.value === name) this.goTo(order[Math.max(0, order.indexOf(name) - 1)] ?? lobby);
    this.rooms.value.get(name)?.leave();
    const rooms = new Map(this.rooms.value);
    rooms.delete(name);
    this.rooms.value = rooms;
    this.#keepRooms();
  }

  /** The next or the previous room of the list. */
  step(by: 1 | -1): string {
    const order = [...this.rooms.value.keys()];
    return order[(order.indexOf(this.current.value) + by + order.length) % order.length]!;
  }

  #add(name: string): void {
    const mark = this.setup.kept.json<Mark | null>(`mark.${name}`, null, isMark);
    const room = new RoomControl(name, mark, {
      link: this.link,
      token: () => this.identity.me.value.token,
      isOwn: this.isOwn,
      seen: (_, messages) => this.sender.arrived(messages),
      heard: (r, messages) => this.#heard(r, messages),
      ready: (r) => {
        this.sender.entered(r.name);
        this.sender.pump();
      },
    });
    this.rooms.value = new Map(this.rooms.value).set(name, room);
    if (this.#begun) this.#open(room);
    this.sender.entered(name);
    let before = mark;
    effect(() => {
      const now = room.mark.value;
      if (now && now !== before) this.setup.kept.put(`mark.${name}`, now);
      before = now;
    });
  }

  #open(room: RoomControl): void {
    room.enter(() => { if (this.current.value === room.name) this.company.look(); });
  }

  #keepRooms(): void {
    if (!this.setup.only) this.setup.kept.put("rooms", [...this.rooms.value.keys()]);
  }

  // What the reader does

  say(content: string): void {
    const re = this.replying.value?.key ?? null;
    this.replying.value = null;
    this.company.spoke();
    this.sender.write(this.current.value, content, re);
  }

  edit(m: Message, content: string): Promise<void> { return this.#change({ type: "edit", of: m.key, content }); }
  remove(m: Message): Promise<void> { return this.#change({ type: "delete", of: m.key }); }

  react(m: Message, emoji: string): Promise<void> {
    const mine = m.reactions.find((r) => r.emoji === emoji)?.users.includes(this.#person()) ?? false;
    return this.#change({ type: "reaction", of: m.key, emoji, on: !mine });
  }

  #person(): string {
    const { user } = this.identity.me.value;
    return user !== "" ? `user ${user}` : `client ${this.#client}`;
  }

  reacted(users: readonly string[]): boolean { return users.includes(this.#person()); }

  async #change(payload: object): Promise<void> {
    try {
      await this.link.publish(this.room.value.channel, payload);
    } catch (e) {
      const { code = 0, message = "" } = e as { code?: number; message?: string };
      this.alarm.value = t("fate.failed.why", this.#reason(code, message));
    }
  }

  /** The reader looks at the end of the open room: all of it is read. */
  looked(): void {
    const room = this.room.value;
    const { items } = room.room.peek();
    // A divider stays while it has something to show; without one, what comes
    // under the reader's eyes needs none.
    if (firstUnread(items, room.divider.peek(), this.isOwn) === null) room.divider.value = null;
    room.readAll();
  }

  /** The reader looks away: what comes from now on stands behind a divider. */
  lookedAway(): void {
    const room = this.rooms.peek().get(this.current.peek());
    if (room && room.unread.peek() === 0) room.divider.value = room.mark.peek();
  }

  /** All is read, and the divider goes. */
  clear(): void {
    this.room.value.readAll();
    this.room.value.divider.value = null;
  }

  async rename(name: string): Promise<void> {
    const token = await this.identity.rename(name);
    this.link.reopen(token);
  }

  /** A token from the reader or from the host application. */
  useToken(token: string): void { this.#reopenWith(this.identity.host(token)); }

  /** Another tab changed something on the shelf. */
  shelfChanged(name: string): void {
    if (name === "guest") {
      const token = this.identity.follow();
      if (token !== null) this.link.reopen(token);
    } else if (name.startsWith("mark.")) {
      const room = this.rooms.value.get(name.slice(5));
      const mark = this.setup.kept.json<Mark | null>(name, null, isMark);
      if (room && mark && (mark.epoch !== room.mark.value?.epoch || mark.offset > room.mark.value.offset)) room.mark.value = mark;
    }
  }

  #reopenWith(token: string): void {
    this.link.reopen(token);
    for (const room of this.rooms.value.values()) if (room.room.value.error) void room.older();
  }

  // What happens

  #lineIs(next: Line): void {
    const before = this.line.value;
    this.line.value = lineAfter(before, next);
    if (next.name === "online") {
      this.#renewals = 0;
      this.wasOnline.value = true;
      this.company.look();
      this.#ownLater();
    } else {
      for (const room of this.rooms.value.values()) room.live.value = false;
      this.sender.interrupted();
    }
    if (next.name === "stopped") void this.#stopped(next.code);
  }

  // 3500: the token is none of this server's, as after a restart that lost its
  // keys. 1 to 3 are the client's own: unauthorized, bad protocol, too big.
  async #stopped(code: number): Promise<void> {
    if (code === 3) {
      this.sender.tooBig(t("error.tooBig"));
      return this.link.retry();
    }
    if (code !== 3500 && code !== 1 || this.#renewals++ > 3) return;
    try {
      const token = await this.identity.renew();
      if (this.identity.locked.value === "") this.#reopenWith(token);
    } catch {
      setTimeout(() => void this.#stopped(code), 2_000);
    }
  }

  #ownIs(channel: string): void {
    if (channel !== `user:${this.identity.me.value.user}` && !channel.endsWith(this.identity.me.value.user)) return;
    this.#own = channel;
    void this.bell.open(channel, this.identity.me.value.user);
  }

  // A server that gives its users no channel by itself may still let them in.
  #ownLater(): void {
    const { user } = this.identity.me.value;
    if (user === "") return;
    const channel = `user:${user}`;
    setTimeout(() => {
      if (this.#own === channel || this.#own.endsWith(user)) return;
      this.#own = channel;
      this.link.join(channel, { joined: () => void this.bell.open(channel, user), message: (w) => this.bell.message(w), refused: () => {} });
    }, 300);
  }

  #heard(room: RoomControl, messages: readonly Message[]): void {
    const others = messages.filter((m) => !this.isOwn(m));
    const last = others.at(-1);
    if (!last) return;
    const here = room.name === this.current.value;
    const name = last.author.name ?? t("author.unknown");
    if (here) this.#speak(others);
    if (this.setup.settings.sound.value && (document.hidden || !here) && this.setup.tabs.leads()) chime();
    if (this.setup.settings.notify.value && document.hidden) {
      notify(this.setup.tabs, t("notify.title", name, room.name), last.text, `room ${room.name}`, () => this.goTo(room.name));
    }
  }

  #rang(title: string, body: string, tag: string): void {
    if (this.setup.settings.sound.value && this.setup.tabs.leads()) chime();
    if (this.setup.settings.notify.value) notify(this.setup.tabs, title, body, `bell ${tag}`, () => {});
    this.spoken.value = body === "" ? title : `${title}. ${body}`;
  }

  // Screen readers hear new messages of others, a burst as a number.
  #speak(messages: readonly Message[]): void {
    this.#toSpeak.push(...messages.map((m) => t("announce", m.author.name ?? t("author.unknown"), m.text.slice(0, 300))));
    if (this.#speaking !== 0) return;
    this.#speaking = window.setTimeout(() => {
      this.spoken.value = this.#toSpeak.length > 3 ? t("announce.many", this.#toSpeak.length) : this.#toSpeak.join("\n");
      this.#toSpeak = [];
      this.#speaking = 0;
    }, 400);
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

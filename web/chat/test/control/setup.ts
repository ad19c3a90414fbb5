// A room over a fake connection and a fake server, as most of control needs it.

import { RoomControl, type RoomOptions } from "../../src/control/room.ts";
import type { Message } from "../../src/state/message.ts";
import { channelOf } from "../../src/state/names.ts";
import type { Position } from "../../src/state/position.ts";
import { FakeAPI, FakeClock, FakeConnection } from "../fakes.ts";

export interface World {
  readonly clock: FakeClock;
  readonly api: FakeAPI;
  readonly connection: FakeConnection;
}

export const newWorld = (): World => ({ clock: new FakeClock(), api: new FakeAPI(), connection: new FakeConnection() });

export const isBy = (user: string) => (m: Message) => m.author.user === user;

export const newRoom = (world: World, name = "lobby", more: Partial<RoomOptions> = {}, mark: Position | null = null): RoomControl =>
  new RoomControl(name, mark, {
    ...world, token: () => "token", hidden: () => false, isOwn: isBy("me"), inLog: () => {}, arrived: () => {}, ready: () => {}, ...more,
  });

/** A room that is live and has its first page. */
export async function liveRoom(world: World, name = "lobby", more: Partial<RoomOptions> = {}, mark: Position | null = null): Promise<RoomControl> {
  const room = newRoom(world, name, more, mark);
  room.open(() => {});
  await world.clock.advance(0);
  await world.connection.subscribed(channelOf(name), { position: { epoch: "e", offset: world.api.top(channelOf(name)) } });
  return room;
}

export const textsIn = (room: RoomControl): string[] => room.room.value.items.map((i) => (i.kind === "message" ? i.text : i.kind));
export const pendingIn = (room: RoomControl) => room.room.value.pending.map((m) => [m.text, m.sendState]);

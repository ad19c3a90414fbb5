// The official client over every transport and in both encodings.

import { createHmac } from "node:crypto";
import test from "node:test";
import { Centrifuge as JSONClient } from "centrifuge";
import { Centrifuge as ProtobufClient } from "centrifuge/build/protobuf";
import { EventSource } from "eventsource";
import WebSocket from "ws";
import { until } from "../browser/support/process.js";

export { startMagpie } from "../browser/support/magpie.js";
export { startRedis } from "../browser/support/redis.js";
export { freePort, until } from "../browser/support/process.js";

export const secret = "a secret of at least thirty-two bytes";

/** Every way in that the protocol has: the transports and their encodings. */
export const ways = [
  { transport: "websocket", protobuf: false },
  { transport: "websocket", protobuf: true },
  { transport: "http_stream", protobuf: false },
  { transport: "http_stream", protobuf: true },
  { transport: "sse", protobuf: false },
].map((way) => ({ ...way, name: `${way.transport}, ${way.protobuf ? "Protobuf" : "JSON"}` }));

/** Tests every way in, all at the same time: they wait more than they compute. */
export function eachWay(run) {
  test("every way in", { concurrency: ways.length, timeout: 180_000 }, (t) => Promise.all(ways.map((way) => t.test(way.name, (t) => run(t, way)))));
}

/**
 * A client of the official library, connected unless options.connect is
 * false; it is disconnected when the test ends. emulation, if given, is
 * another node's URL, to which commands go that are not sent over WebSocket.
 */
export async function connect(t, url, way, { emulation = url, connect = true, ...options } = {}) {
  const Client = way.protobuf ? ProtobufClient : JSONClient;
  const scheme = way.transport === "websocket" ? url.replace("http", "ws") : url;
  const client = new Client([{ transport: way.transport, endpoint: `${scheme}/connection/${way.transport}` }], {
    websocket: WebSocket,
    eventsource: EventSource,
    fetch: globalThis.fetch,
    readableStream: globalThis.ReadableStream,
    emulationEndpoint: `${emulation}/emulation`,
    minReconnectDelay: 50,
    maxReconnectDelay: 500,
    timeout: 5000,
    ...options,
  });
  t.after(() => client.disconnect());
  client.events = record(client, ["connecting", "connected", "disconnected", "error", "message", "subscribed", "unsubscribed", "publication", "join", "leave"]);
  client.way = way;
  if (connect) {
    client.connect();
    await client.ready(10_000);
  }
  return client;
}

/** Subscribes and waits until it is so. What comes is kept in sub.events. */
export async function subscribe(client, channel, options = {}) {
  const sub = client.newSubscription(channel, { minResubscribeDelay: 50, maxResubscribeDelay: 500, ...options });
  sub.events = record(sub, ["subscribing", "subscribed", "unsubscribed", "publication", "join", "leave", "error"]);
  sub.subscribe();
  await sub.ready(10_000);
  return sub;
}

function record(emitter, names) {
  const events = Object.fromEntries(names.map((name) => [name, []]));
  for (const name of names) emitter.on(name, (context) => events[name].push(context));
  return events;
}

const text = new TextDecoder();
const bytes = new TextEncoder();

/** A payload in the form that the client's encoding has for it. */
export function payload(client, value) {
  return client.way.protobuf ? bytes.encode(JSON.stringify(value)) : value;
}

/** What a publication, or anything with data, holds. */
export function value(client, data) {
  return client.way.protobuf ? JSON.parse(text.decode(data)) : data;
}

/** The values of all publications that a subscription, or a client, got. */
export function values(client, from) {
  return from.events.publication.map((publication) => value(client, publication.data));
}

/** Waits until an event has come count times and returns the last of them. */
export async function event(emitter, name, count = 1, milliseconds = 10_000) {
  await until(`${name}, ${count} times`, () => emitter.events[name].length >= count, milliseconds);
  return emitter.events[name][count - 1];
}

/** A token as a backend signs it. */
export function token(claims, key = secret) {
  const encode = (part) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return `${signed}.${createHmac("sha256", key).update(signed).digest("base64url")}`;
}

/** Seconds since 1970, so many from now. */
export const inSeconds = (seconds) => Math.floor(Date.now() / 1000) + seconds;

// The entry point of the page: reads what the server wrote into it, makes the
// app and draws it.

import { effect } from "@preact/signals";
import { render } from "preact";
import { browserClock } from "./client/clock.ts";
import { CentrifugeConnection } from "./client/connection.ts";
import { httpAPI } from "./client/http.ts";
import { Store } from "./client/store.ts";
import { App } from "./control/app.ts";
import { Settings } from "./control/settings.ts";
import { openTabs } from "./control/tabs.ts";
import { type Host, hostOf } from "./embed/host.ts";
import { followLanguage } from "./i18n/index.ts";
import { registerWorker } from "./offline.ts";
import { lobby, roomAt, roomName } from "./state/names.ts";
import { AppProvider, type Facts } from "./views/context.ts";
import { followHistory } from "./views/navigate.ts";
import { BellPage, Page } from "./views/page.tsx";

function factsOf(data: DOMStringMap, host: Host | null): Facts {
  const embedded = data.embedded === "true";
  const open = data.open === "true";
  return {
    redisCLI: data.redisCli ?? "", open, developer: open || isLoopback(location.hostname), version: data.version ?? "", mark: data.mark ?? "",
    maxPayload: Number(data.maxPayload) || 65_536, embedded,
    bellOnly: embedded && new URLSearchParams(location.search).get("mode") === "bell",
    linkBase: host?.origin ?? "",
  };
}

const isLoopback = (host: string) => /^(localhost|.+\.localhost|127\.[\d.]+|\[::1\])$/.test(host);

// A token in the address is removed from it at once: addresses are copied and
// shown. The part behind # was never sent to the server.
function tokenInAddress(): string {
  const given = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
  if (given !== "") history.replaceState(null, "", location.pathname + location.search);
  return given;
}

async function start(): Promise<void> {
  const host = document.body.dataset.embedded === "true" ? hostOf(window) : null;
  const facts = factsOf(document.body.dataset, host);
  const local = new Store(() => localStorage);
  const session = new Store(() => sessionStorage);
  const settings = new Settings(local);
  settings.apply(document.documentElement);
  followLanguage(document.documentElement);
  const first = facts.embedded ? (roomName(new URLSearchParams(location.search).get("room") ?? "") ?? lobby) : roomAt(location.pathname);
  const given = tokenInAddress() || (host ? await host.firstToken() : "");
  const url = `${location.origin.replace(/^http/, "ws")}/connection/websocket`;
  const app = new App({
    local, session, settings, first, only: facts.embedded, bellOnly: facts.bellOnly, personal: document.body.dataset.personal ?? "", hasNetwork: navigator.onLine,
    api: httpAPI, clock: browserClock,
    tabs: await openTabs(session),
    connect: (o) => new CentrifugeConnection({ ...o, url }),
    askHost: host ? () => host.newToken() : null,
  });
  window.addEventListener("online", () => networkChanged(app, true));
  window.addEventListener("offline", () => networkChanged(app, false));
  window.addEventListener("storage", (e) => { if (e.key?.startsWith("magpie.")) app.storeChanged(e.key.slice("magpie.".length)); });
  app.addRooms();
  followHistory(app);
  effect(() => { document.title = app.title.value; });
  render(<AppProvider value={{ app, facts }}>{facts.bellOnly ? <BellPage /> : <Page />}</AppProvider>, document.getElementById("app")!);
  host?.follow(app);
  await app.start(given);
  if (!facts.embedded) void registerWorker();
}

function networkChanged(app: App, online: boolean): void {
  app.hasNetwork.value = online;
  app.connection.network(online);
}

void start();

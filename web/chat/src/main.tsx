// The page's beginning: reads what the server wrote into it, builds the app
// and shows it.

import { render } from "preact";
import { Shelf } from "./client/shelf.ts";
import { App } from "./control/app.ts";
import { Settings } from "./control/settings.ts";
import { openTabs } from "./control/tabs.ts";
import { followLanguage } from "./i18n/index.ts";
import { roomAt, roomName, lobby } from "./state/names.ts";
import { type Facts, WorldProvider } from "./views/context.ts";
import { followHistory } from "./views/navigate.ts";
import { BellPage, Page } from "./views/page.tsx";
import { hostOf } from "./embed/inside.ts";
import { keepOffline } from "./offline.ts";

function factsOf(data: DOMStringMap): Facts {
  return {
    redisCLI: data.redisCli ?? "", open: data.open === "true", version: data.version ?? "", mark: data.mark ?? "",
    maxPayload: Number(data.maxPayload) || 65_536, embedded: data.embedded === "true",
    bellOnly: data.embedded === "true" && new URLSearchParams(location.search).get("mode") === "bell",
  };
}

// A token in the address is taken out of it at once: addresses are copied and
// shown. What stands behind # never reached the server.
function tokenInAddress(): string {
  const given = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
  if (given !== "") history.replaceState(null, "", location.pathname + location.search);
  return given;
}

async function start(): Promise<void> {
  const facts = factsOf(document.body.dataset);
  const kept = new Shelf(() => localStorage);
  const tab = new Shelf(() => sessionStorage);
  const settings = new Settings(kept);
  settings.follow(document.documentElement);
  followLanguage(document.documentElement);
  const host = facts.embedded ? hostOf(window) : null;
  const first = facts.embedded ? (roomName(new URLSearchParams(location.search).get("room") ?? "") ?? lobby) : roomAt(location.pathname);
  const given = tokenInAddress() || (host ? await host.firstToken() : "");
  const app = new App({
    kept, tab, settings, first, only: facts.embedded, bellOnly: facts.bellOnly,
    tabs: await openTabs(tab),
    socket: `${location.origin.replace(/^http/, "ws")}/connection/websocket`,
    askHost: host ? () => host.newToken() : null,
  });
  window.addEventListener("online", () => network(app, true));
  window.addEventListener("offline", () => network(app, false));
  window.addEventListener("storage", (e) => { if (e.key?.startsWith("magpie.")) app.shelfChanged(e.key.slice("magpie.".length)); });
  app.enter();
  followHistory(app);
  render(<WorldProvider value={{ app, facts }}>{facts.bellOnly ? <BellPage /> : <Page />}</WorldProvider>, document.getElementById("app")!);
  host?.follow(app);
  await app.start(given);
  if (!facts.embedded) keepOffline();
}

function network(app: App, online: boolean): void {
  app.hasNetwork.value = online;
  app.link.network(online);
}

void start();

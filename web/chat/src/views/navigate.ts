// Rooms and the address bar.

import type { App } from "../control/app.ts";
import { pathOf, roomAt } from "../state/names.ts";
import { openDialog } from "./context.ts";

/** Goes to a room and writes its address. */
export function go(app: App, name: string): void {
  app.openRoom(name);
  openDialog.value = "";
  const path = pathOf(name);
  if (!app.options.only && location.pathname !== path) history.pushState(null, "", path);
}

/** Follows the browser's own back and forward. Runs for the page's life. */
export function followHistory(app: App): void {
  window.addEventListener("popstate", () => app.openRoom(roomAt(location.pathname)));
}

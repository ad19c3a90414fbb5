// Rooms and the address bar.

import type { App } from "../control/app.ts";
import { pathOf, roomAt } from "../state/names.ts";
import { openDialog } from "./context.ts";

/** Opens a room and puts its address into the address bar. */
export function navigate(app: App, name: string): void {
  app.openRoom(name);
  openDialog.value = "";
  const path = pathOf(name);
  if (!app.options.only && location.pathname !== path) history.pushState(null, "", path);
}

/** Follows the browser's back and forward buttons, as long as the page is open. */
export function followHistory(app: App): void {
  window.addEventListener("popstate", () => app.openRoom(roomAt(location.pathname)));
}

// What every view can reach: the app, the page's facts, and which window is open.

import { signal } from "@preact/signals";
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { App } from "../control/app.ts";

/** What the server wrote into the page. */
export interface Facts {
  readonly redisCLI: string; // how redis-cli is called; "" without Redis
  readonly open: boolean; // anyone may publish without a key
  readonly version: string;
  readonly mark: string; // URL of the logo
  readonly maxPayload: number; // bytes
  readonly embedded: boolean;
  readonly bellOnly: boolean;
}

export interface World {
  readonly app: App;
  readonly facts: Facts;
}

const Context = createContext<World | null>(null);
export const WorldProvider = Context.Provider;

export function useWorld(): World {
  const world = useContext(Context);
  if (!world) throw new Error("a view outside of the app");
  return world;
}
export const useApp = (): App => useWorld().app;

/** The window over the page, one at a time. */
export const opened = signal<"" | "switch" | "help" | "settings" | "bell" | "rooms" | "panel" | "delete">("");

/** Whether the right panel stands beside the room, where there is space. */
export const panelBeside = signal(true);

/** The text field, for those who send the reader back to it. */
export const field: { current: HTMLTextAreaElement | null } = { current: null };
export const focusField = (): void => field.current?.focus();

/** Enter is a new line where keys are on the glass. */
export const isTouch = (): boolean => matchMedia("(pointer: coarse)").matches && !matchMedia("(any-pointer: fine)").matches;

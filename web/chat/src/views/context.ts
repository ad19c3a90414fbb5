// What every view can reach: the app, the page's facts, and which dialog is open.

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
  readonly developer: boolean; // whoever reads the page is likely to be one
  readonly embedded: boolean;
  readonly bellOnly: boolean;
  readonly linkBase: string; // origin that a notice's path belongs to; "" is this page's
}

export interface AppContextValue {
  readonly app: App;
  readonly facts: Facts;
}

const Context = createContext<AppContextValue | null>(null);
export const AppProvider = Context.Provider;

export function useAppContext(): AppContextValue {
  const world = useContext(Context);
  if (!world) throw new Error("a view outside of the app");
  return world;
}
/** Whether to show commands that publish: a customer sees none without asking for them. */
export function showsExamples({ app, facts }: AppContextValue): boolean {
  return !facts.embedded && (app.options.settings.examples.value ?? facts.developer);
}

export const useApp = (): App => useAppContext().app;

/** The dialog that is open; one at a time. */
export const openDialog = signal<"" | "switch" | "help" | "settings" | "bell" | "rooms" | "panel" | "delete">("");

/** Whether the right panel is shown beside the room, where there is space. */
export const panelBeside = signal(true);

/** The composer's text field, for views that give it the focus. */
export const composerField: { current: HTMLTextAreaElement | null } = { current: null };
export const focusComposer = (): void => composerField.current?.focus();

/** Whether the only keyboard is on the screen: there Enter is a new line. */
export const isTouch = (): boolean => matchMedia("(pointer: coarse)").matches && !matchMedia("(any-pointer: fine)").matches;

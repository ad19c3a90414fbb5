// Who the reader is. A token of the host application is used before a guest's.
// A guest gets a token from the server on the first visit, keeps it, and may
// change the name.

import { signal, type ReadonlySignal } from "@preact/signals";
import type { Clock } from "../client/clock.ts";
import { type API, type Guest, Refused } from "../client/http.ts";
import type { Store } from "../client/store.ts";

export interface Me {
  readonly user: string;
  readonly name: string;
  readonly color: number;
  readonly guest: boolean;
  readonly moderator: boolean;
  readonly token: string;
}

const nobody: Me = { user: "", name: "", color: 0, guest: true, moderator: false, token: "" };
const expiryMargin = 60; // seconds that a stored token must still be valid to be used first

const isGuest = (v: unknown): v is Guest => {
  if (v === null || typeof v !== "object") return false;
  const g = v as Record<string, unknown>;
  return typeof g.token === "string" && typeof g.user === "string" && typeof g.name === "string" && typeof g.color === "number" && typeof g.expires === "number";
};

export interface IdentityOptions {
  readonly api: API;
  readonly clock: Clock;
  readonly local: Store; // kept in the browser
  readonly session: Store; // kept until the tab is closed
  /** Asks the host application for a new token; null where there is none. */
  readonly askHost: (() => Promise<string>) | null;
}

export class Identity {
  readonly #me = signal<Me>(nobody);
  readonly #locked = signal<"" | "asked" | "refused">("");
  readonly me: ReadonlySignal<Me> = this.#me;
  /** The server admits no guest: it asks for a token, or refused the last one. */
  readonly locked: ReadonlySignal<"" | "asked" | "refused"> = this.#locked;

  constructor(private readonly options: IdentityOptions) {}

  /** The token to connect with: the given one, a stored one, or a new guest's. */
  async firstToken(given: string): Promise<string> {
    const host = given !== "" ? given : (this.options.session.get("token") ?? "");
    if (host !== "") return this.useHostToken(host);
    const known = this.#stored();
    if (known && this.#isValid(known, expiryMargin)) return this.#use(known);
    return this.#newGuest(known?.token ?? "", "");
  }

  /** Takes a token from the host application, or from the reader. */
  useHostToken(token: string): string {
    this.options.session.set("token", token);
    this.#me.value = readToken(token);
    this.#locked.value = "";
    return token;
  }

  /** A new token, after the server said that the last one has expired or is not its own. */
  async renew(): Promise<string> {
    if (!this.#me.value.guest) return this.#renewHost();
    const known = this.#stored();
    // Another tab may have renewed it already.
    if (known && known.token !== this.#me.value.token && this.#isValid(known, 0)) return this.#use(known);
    return this.#newGuest(known?.token ?? "", known?.name ?? "");
  }

  /** Changes a guest's name; rejects when the server refuses it. */
  async rename(name: string): Promise<string> {
    return this.#keep(await this.options.api.guest(this.#me.value.token, name));
  }

  /** Another tab of this browser changed the guest: takes it over. null: nothing changed. */
  takeStored(): string | null {
    if (!this.#me.value.guest) return null;
    const known = this.#stored();
    return !known || known.token === this.#me.value.token ? null : this.#use(known);
  }

  // The server wants a token, and none is known to be good.
  #lock(): void {
    this.#locked.value = this.#me.value.token === "" ? "asked" : "refused";
    this.options.session.set("token", null);
    this.#me.value = nobody;
  }

  #stored(): Guest | null { return this.options.local.getJSON<Guest | null>("guest", null, isGuest); }

  #isValid(g: Guest, seconds: number): boolean { return g.expires > this.options.clock.now() / 1000 + seconds; }

  async #renewHost(): Promise<string> {
    if (this.options.askHost) return this.useHostToken(await this.options.askHost());
    this.#lock();
    return "";
  }

  async #newGuest(token: string, name: string): Promise<string> {
    try {
      return this.#keep(await this.options.api.guest(token, name));
    } catch (e) {
      if (!(e instanceof Refused) || ![401, 403, 404].includes(e.status)) throw e;
      this.#lock(); // this server admits no guests
      return "";
    }
  }

  #keep(g: Guest): string {
    this.options.local.setJSON("guest", g);
    return this.#use(g);
  }

  #use(g: Guest): string {
    this.#me.value = { user: g.user, name: g.name, color: g.color, guest: true, moderator: false, token: g.token };
    this.#locked.value = "";
    return g.token;
  }
}

// What a token says, to be shown to its own user. Only the server decides
// whether it is valid.
export function readToken(token: string): Me {
  try {
    const bytes = Uint8Array.from(atob(token.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes)) as { sub?: unknown; info?: { name?: unknown; color?: unknown; moderator?: unknown } };
    const user = typeof claims.sub === "string" ? claims.sub : "";
    const name = typeof claims.info?.name === "string" ? claims.info.name.slice(0, 80) : user;
    return { user, name, color: typeof claims.info?.color === "number" ? claims.info.color : 0, guest: false, moderator: claims.info?.moderator === true, token };
  } catch {
    return { ...nobody, guest: false, token };
  }
}

// Who the reader is. A token of the host's wins over the guest's; a guest gets
// one from the server on the first visit, keeps it, and may change the name.

import { signal, type ReadonlySignal } from "@preact/signals";
import * as http from "../client/http.ts";
import type { Shelf } from "../client/shelf.ts";

export interface Me {
  readonly user: string;
  readonly name: string;
  readonly color: number;
  readonly guest: boolean;
  readonly moderator: boolean;
  readonly token: string;
}

const nobody: Me = { user: "", name: "", color: 0, guest: true, moderator: false, token: "" };

const isGuest = (v: unknown): v is http.Guest => {
  if (v === null || typeof v !== "object") return false;
  const g = v as Record<string, unknown>;
  return typeof g.token === "string" && typeof g.user === "string" && typeof g.name === "string" && typeof g.color === "number" && typeof g.expires === "number";
};

export class Identity {
  readonly #me = signal<Me>(nobody);
  readonly #locked = signal<"" | "asked" | "refused">("");
  readonly me: ReadonlySignal<Me> = this.#me;
  /** The server lets no guest in: a token is asked for, or the last one was refused. */
  readonly locked: ReadonlySignal<"" | "asked" | "refused"> = this.#locked;

  /** kept lasts; tab is gone with the tab. ask gets a new token from the host, where there is one. */
  constructor(private readonly kept: Shelf, private readonly tab: Shelf, private readonly ask: (() => Promise<string>) | null) {}

  /** The token to begin with, without asking anybody when there is one. */
  async begin(given: string): Promise<string> {
    const host = given !== "" ? given : (this.tab.get("token") ?? "");
    if (host !== "") return this.host(host);
    const known = this.kept.json<http.Guest | null>("guest", null, isGuest);
    if (known && known.expires > Date.now() / 1000 + 60) {
      this.#take(known);
      return known.token;
    }
    return this.#newGuest(known?.token ?? "", "");
  }

  /** A token from the host application, or from the reader's own hand. */
  host(token: string): string {
    this.tab.set("token", token);
    this.#me.value = readToken(token);
    this.#locked.value = "";
    return token;
  }

  /** After the server said that the token has ended, or is not its own. */
  async renew(): Promise<string> {
    if (!this.#me.value.guest) return this.#renewHost();
    const known = this.kept.json<http.Guest | null>("guest", null, isGuest);
    // Another tab may have renewed it already.
    if (known && known.token !== this.#me.value.token && known.expires > Date.now() / 1000) {
      this.#take(known);
      return known.token;
    }
    return this.#newGuest(known?.token ?? "", known?.name ?? "");
  }

  /** Changes a guest's name; rejects when the server refuses it. */
  async rename(name: string): Promise<string> {
    return this.#newGuest(this.#me.value.token, name);
  }

  /** Another tab of this browser changed the guest. */
  follow(): string | null {
    if (!this.#me.value.guest) return null;
    const known = this.kept.json<http.Guest | null>("guest", null, isGuest);
    if (!known || known.token === this.#me.value.token) return null;
    this.#take(known);
    return known.token;
  }

  /** The server wants a token and none is known to be good. */
  lock(): void {
    this.#locked.value = this.#me.value.token === "" ? "asked" : "refused";
    this.tab.set("token", null);
    this.#me.value = nobody;
  }

  async #renewHost(): Promise<string> {
    if (!this.ask) {
      this.lock();
      return "";
    }
    return this.host(await this.ask());
  }

  async #newGuest(token: string, name: string): Promise<string> {
    try {
      const guest = await http.guest(token, name);
      this.kept.put("guest", guest);
      this.#take(guest);
      return guest.token;
    } catch (e) {
      if (!(e instanceof http.Refused) || ![401, 403, 404].includes(e.status) || name !== "") throw e;
      this.lock(); // no guests here
      return "";
    }
  }

  #take(g: http.Guest): void {
    this.#me.value = { user: g.user, name: g.name, color: g.color, guest: true, moderator: false, token: g.token };
    this.#locked.value = "";
  }
}

// What a token says of itself, to be shown to its own bearer. The server, not
// this, decides what it is worth.
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

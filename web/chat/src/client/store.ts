// What the browser keeps for the app. Storage may be forbidden, full or
// written by somebody else: then values live as long as the page.

export class Store {
  readonly #unsaved = new Map<string, string | null>(); // what the browser did not take

  constructor(private readonly storage: () => Storage, private readonly prefix = "magpie.") {}

  get(name: string): string | null {
    const unsaved = this.#unsaved.get(name);
    if (unsaved !== undefined) return unsaved;
    try {
      return this.storage().getItem(this.prefix + name);
    } catch {
      return null;
    }
  }

  /** null removes the value. */
  set(name: string, value: string | null): void {
    this.#unsaved.delete(name);
    try {
      if (value === null) this.storage().removeItem(this.prefix + name);
      else this.storage().setItem(this.prefix + name, value);
    } catch {
      this.#unsaved.set(name, value);
    }
  }

  /** A JSON value of the expected shape, or the fallback. */
  getJSON<T>(name: string, fallback: T, isValid: (v: unknown) => v is T): T {
    try {
      const value: unknown = JSON.parse(this.get(name) ?? "null");
      return isValid(value) ? value : fallback;
    } catch {
      return fallback;
    }
  }

  setJSON(name: string, value: unknown): void { this.set(name, JSON.stringify(value)); }

  /** Names of values that start with this. */
  names(start: string): string[] {
    const names = new Set(this.#saved().filter((k) => k.startsWith(this.prefix)).map((k) => k.slice(this.prefix.length)));
    for (const [name, value] of this.#unsaved) {
      if (value === null) names.delete(name);
      else names.add(name);
    }
    return [...names].filter((n) => n.startsWith(start));
  }

  #saved(): string[] {
    try {
      return Object.keys(this.storage());
    } catch {
      return [];
    }
  }
}

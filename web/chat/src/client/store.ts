// What the browser keeps for the app. Storage may be forbidden, full or
// written by somebody else: then values are forgotten and the app works.

export class Store {
  constructor(private readonly storage: () => Storage, private readonly prefix = "magpie.") {}

  get(name: string): string | null {
    try {
      return this.storage().getItem(this.prefix + name);
    } catch {
      return null;
    }
  }

  /** null removes the value. */
  set(name: string, value: string | null): void {
    try {
      if (value === null) this.storage().removeItem(this.prefix + name);
      else this.storage().setItem(this.prefix + name, value);
    } catch { /* the value lives as long as the page */ }
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
    try {
      return Object.keys(this.storage()).filter((k) => k.startsWith(this.prefix + start)).map((k) => k.slice(this.prefix.length));
    } catch {
      return [];
    }
  }
}

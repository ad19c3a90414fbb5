// What the browser keeps for the app. Storage may be forbidden, full or
// somebody else's: then the app forgets, and works.

export class Shelf {
  constructor(private readonly storage: () => Storage, private readonly prefix = "magpie.") {}

  get(name: string): string | null {
    try {
      return this.storage().getItem(this.prefix + name);
    } catch {
      return null;
    }
  }

  set(name: string, value: string | null): void {
    try {
      if (value === null) this.storage().removeItem(this.prefix + name);
      else this.storage().setItem(this.prefix + name, value);
    } catch { /* it lasts until the page goes */ }
  }

  /** JSON of the expected shape, or the fallback. */
  json<T>(name: string, fallback: T, fits: (v: unknown) => v is T): T {
    try {
      const value: unknown = JSON.parse(this.get(name) ?? "null");
      return fits(value) ? value : fallback;
    } catch {
      return fallback;
    }
  }

  /** Names that begin so. */
  names(start: string): string[] {
    try {
      return Object.keys(this.storage()).filter((k) => k.startsWith(this.prefix + start)).map((k) => k.slice(this.prefix.length));
    } catch {
      return [];
    }
  }

  put(name: string, value: unknown): void { this.set(name, JSON.stringify(value)); }
}

// The browser's promises. One may reject, throw before there is a promise, or
// never resolve: where a site's storage is blocked, in private windows, behind a
// question that nobody answers. Nothing in the app waits for one in another way
// than this.

import type { Clock } from "./clock.ts";

/** What f resolves to, or the fallback when f throws, rejects, or takes longer than that. Never rejects. */
export function within<T>(clock: Clock, milliseconds: number, fallback: T, f: () => PromiseLike<T> | T): Promise<T> {
  return new Promise((resolve) => {
    const cancel = clock.after(milliseconds, () => resolve(fallback));
    const done = (value: T) => {
      cancel();
      resolve(value);
    };
    try {
      Promise.resolve(f()).then(done, () => done(fallback));
    } catch {
      done(fallback);
    }
  });
}

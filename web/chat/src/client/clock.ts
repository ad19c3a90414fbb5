// Time and chance, as arguments: tests give their own.

export interface Clock {
  /** Unix milliseconds. */
  now(): number;
  /** Calls f once, in that many milliseconds; the result cancels it. */
  after(milliseconds: number, f: () => void): () => void;
  /** At least 0, less than 1. */
  random(): number;
}

export const browserClock: Clock = {
  now: () => Date.now(),
  after(milliseconds, f) {
    const timer = setTimeout(f, milliseconds);
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
};

// Which of a room's items are in the page: a window of bounded size that moves
// with the reader. Indices count from the end of the list, so that items that
// are put in front do not move it.

export interface Window {
  readonly fromEnd: number; // items after the window
  readonly size: number;
}

export const pageSize = 40;
const maxItems = 160; // two screens on each side; with separators less than 300 rows

export const atEnd: Window = { fromEnd: 0, size: 2 * pageSize };

/** The items of the window as [start, end). */
export function range(w: Window, total: number): readonly [number, number] {
  const end = Math.max(0, total - w.fromEnd);
  return [Math.max(0, end - w.size), end];
}

/** One page further up; what is too much is cut off at the end. */
export function pageUp(w: Window, total: number): Window {
  const [start] = range(w, total);
  const gained = Math.min(pageSize, start);
  const size = w.size + gained;
  const over = Math.max(0, size - maxItems);
  return gained === 0 ? w : { fromEnd: w.fromEnd + over, size: size - over };
}

/** One page further down; what is too much is cut off at the front. */
export function pageDown(w: Window): Window {
  const gained = Math.min(pageSize, w.fromEnd);
  return gained === 0 ? w : { fromEnd: w.fromEnd - gained, size: Math.min(maxItems, w.size + gained) };
}

/** After n items were appended. following: the reader is at the end. */
export function afterAppend(w: Window, n: number, following: boolean): Window {
  if (n <= 0) return w;
  if (following) return atEnd;
  if (w.fromEnd > 0) return { ...w, fromEnd: w.fromEnd + n };
  // The window reaches the end but the reader does not: it grows until it is
  // full; the new items after that stay outside.
  const grown = Math.min(maxItems, w.size + n);
  return { fromEnd: n - (grown - w.size), size: grown };
}

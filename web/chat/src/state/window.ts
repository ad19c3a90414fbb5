// Which of a room's items are in the DOM: a window of bounded size that moves
// with the reader. Indices are counted from the end of the list, so that rows
// that come in at the front do not move it.

export interface Window {
  readonly fromEnd: number; // items after the window
  readonly size: number;
}

export const page = 40;
const most = 160; // items in the window: two screens on each side; separators come on top, 300 rows in all

export const atEnd: Window = { fromEnd: 0, size: 2 * page };

/** The items of the window as [start, end). */
export function range(w: Window, total: number): readonly [number, number] {
  const end = Math.max(0, total - w.fromEnd);
  return [Math.max(0, end - w.size), end];
}

/** Further up by one page; what no longer fits leaves at the end. */
export function up(w: Window, total: number): Window {
  const [start] = range(w, total);
  const gained = Math.min(page, start);
  const size = w.size + gained;
  const over = Math.max(0, size - most);
  return gained === 0 ? w : { fromEnd: w.fromEnd + over, size: size - over };
}

/** Further down by one page; what no longer fits leaves at the front. */
export function down(w: Window): Window {
  const gained = Math.min(page, w.fromEnd);
  return gained === 0 ? w : { fromEnd: w.fromEnd - gained, size: Math.min(most, w.size + gained) };
}

/** After n items came in at the end. following: the reader stands there. */
export function came(w: Window, n: number, following: boolean): Window {
  if (n <= 0) return w;
  if (following) return { fromEnd: 0, size: Math.min(Math.max(w.size, atEnd.size), 2 * page) };
  if (w.fromEnd > 0) return { ...w, fromEnd: w.fromEnd + n };
  // The reader is near the end: let the window grow until it is full, then
  // leave the new items for later.
  const grown = Math.min(most, w.size + n);
  return { fromEnd: n - (grown - w.size), size: grown };
}

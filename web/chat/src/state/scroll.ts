// Where the reader is in the list: a state machine without a page.
//
// pinned: at the end; the list follows what is appended.
// reading: further up; the row in sight does not move.
// jumping: on the way to the end, because the reader asked; then pinned.
//
// 1. More than 100 px from the end is reading: new messages do not scroll it.
// 2. The reader's own message jumps to the end, so that its writer sees it.
// 3. The state changes when the reader scrolls, not when the list grows or
//    shrinks.

export type Scroll =
  | { readonly at: "pinned" }
  | { readonly at: "reading"; readonly unseen: number }
  | { readonly at: "jumping" };

export type ScrollEvent =
  | { readonly type: "scrolled"; readonly fromEnd: number } // px below the view
  | { readonly type: "appended"; readonly count: number; readonly own: boolean } // by others, or by the reader
  | { readonly type: "jump" }
  | { readonly type: "arrived" };

/** What the view does: scroll to the end, or keep the row in sight where it is. */
export type Move = "follow" | "hold";

export const nearEnd = 100; // px from the end that count as the end

export const pinned: Scroll = { at: "pinned" };

export function step(s: Scroll, e: ScrollEvent): readonly [Scroll, Move] {
  switch (e.type) {
    case "scrolled":
      if (e.fromEnd <= nearEnd) return [pinned, "hold"];
      if (s.at === "jumping") return [s, "follow"];
      return [s.at === "reading" ? s : { at: "reading", unseen: 0 }, "hold"];
    case "appended":
      if (e.own) return [{ at: "jumping" }, "follow"];
      if (s.at !== "reading") return [s, "follow"];
      return [{ at: "reading", unseen: s.unseen + e.count }, "hold"];
    case "jump":
      return [{ at: "jumping" }, "follow"];
    case "arrived":
      return [pinned, "follow"];
  }
}

// Where the reader stands in the list, as a machine without a DOM.
//
// pinned: at the end; what comes is shown and the list follows.
// reading: further up; nothing moves what is being read.
// jumping: on the way to the end, on the reader's word; arriving pins.
//
// 1. More than 100 px from the end is reading: nothing scrolls a reader away.
// 2. One's own message jumps: who speaks wants to see it.
// 3. A growing or shrinking list changes the state only where the reader moved.

export type Scroll =
  | { readonly at: "pinned" }
  | { readonly at: "reading"; readonly unseen: number }
  | { readonly at: "jumping" };

export type ScrollEvent =
  | { readonly type: "moved"; readonly fromEnd: number } // the reader scrolled; px below the view
  | { readonly type: "came"; readonly count: number; readonly own: boolean } // new rows at the end
  | { readonly type: "jump" }
  | { readonly type: "arrived" };

/** What the view has to do: go to the end, or keep the row in sight where it is. */
export type Move = "follow" | "hold";

export const near = 100; // px from the end that still count as being there

export const pinned: Scroll = { at: "pinned" };

export function step(s: Scroll, e: ScrollEvent): readonly [Scroll, Move] {
  switch (e.type) {
    case "moved":
      if (e.fromEnd <= near) return [pinned, "hold"];
      if (s.at === "jumping") return [s, "follow"];
      return [s.at === "reading" ? s : { at: "reading", unseen: 0 }, "hold"];
    case "came":
      if (e.own) return [{ at: "jumping" }, "follow"];
      if (s.at !== "reading") return [s, "follow"];
      return [{ at: "reading", unseen: s.unseen + e.count }, "hold"];
    case "jump":
      return [{ at: "jumping" }, "follow"];
    case "arrived":
      return [pinned, "follow"];
  }
}

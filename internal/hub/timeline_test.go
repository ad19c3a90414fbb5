package hub

import (
	"testing"

	"magpie/internal/message"
)

// D1, D10: an offset says something within its epoch alone.
func TestPlacesOnATimeline(t *testing.T) {
	for _, c := range []struct {
		p    message.Position
		want place
	}{
		{at("a", 4), placeSeen}, {at("a", 5), placeSeen}, {at("a", 6), placeNext}, {at("a", 7), placeUnknown},
		{at("b", 4), placeUnknown}, {at("b", 5), placeUnknown}, {at("b", 6), placeUnknown}, {at("b", 7), placeUnknown},
	} {
		if got := placeOf(c.p, at("a", 5)); got != c.want {
			t.Errorf("%v after a.5: %v, want %v", c.p, got, c.want)
		}
	}
	if p := renamed(at("a", 5), at("b", 5)); p != at("b", 5) {
		t.Errorf("the top under its new name: %v", p)
	}
	if p := renamed(at("a", 5), at("b", 6)); p != at("a", 5) {
		t.Errorf("a place below the top: %v", p)
	}
}

// D1, D10: what is new to a subscriber at a.12 while the channel was at a.10, or
// at o.10 of an older timeline, and where it is told of a fork.
func TestWhatIsNewToAJoin(t *testing.T) {
	for _, c := range []struct {
		older      string
		p          message.Position
		isNew, gap bool // a gap is told before the message
	}{
		{"", at("a", 11), false, false}, {"", at("a", 12), false, false}, {"", at("a", 13), true, false}, {"", at("a", 14), true, false},
		{"", at("b", 11), true, true}, {"", at("b", 12), true, true}, {"", at("b", 13), true, false},
		{"o", at("o", 11), false, false}, {"o", at("o", 13), false, false}, {"o", at("a", 12), false, false}, {"o", at("a", 13), true, false},
		{"o", at("b", 12), true, true},
	} {
		j := &joinState{has: at("a", 12), older: c.older}
		m := &message.Message{Channel: "chat", Position: c.p}
		if isNew := j.isNew(event{message: m}); isNew != c.isNew {
			t.Errorf("older %q, %v: new %v", c.older, c.p, isNew)
			continue
		}
		g := j.fork(m)
		if c.isNew && (g != nil) != c.gap {
			t.Errorf("older %q, %v: gap %+v", c.older, c.p, g)
		}
		if want := (message.Gap{Channel: "chat", From: at("a", 12), Now: at("b", c.p.Offset-1), Reason: message.GapLost}); c.gap && g != nil && *g != want {
			t.Errorf("gap %+v, want %+v", *g, want)
		}
	}
	for now, want := range map[message.Position]bool{at("a", 11): false, at("a", 12): false, at("a", 13): true, at("b", 3): true, at("o", 3): true} {
		j := &joinState{has: at("a", 12), older: "o"}
		if got := j.isNew(event{gap: &message.Gap{Now: now}}); got != want {
			t.Errorf("a gap to %v: new %v", now, got)
		}
	}
}

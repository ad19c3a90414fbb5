package hub

import (
	"testing"

	"pgregory.net/rapid"

	"magpie/internal/engine"
	"magpie/internal/message"
)

// model is a log with a timeline history, read as docs/redis.md says.
type model struct {
	epoch    string
	first    uint64 // of the kept messages
	top      uint64
	reach    map[string]uint64 // how far each epoch goes along with the log
	messages []*message.Message
}

func drawModel(t *rapid.T) *model {
	m := &model{epoch: "c", top: rapid.Uint64Range(0, 30).Draw(t, "top")}
	m.first = m.top + 1 - rapid.Uint64Range(0, m.top).Draw(t, "kept")
	b := rapid.Uint64Range(0, m.top).Draw(t, "fork of b")
	m.reach = map[string]uint64{"c": m.top, "b": b, "a": rapid.Uint64Range(0, b).Draw(t, "fork of a")}
	for o := m.first; o <= m.top; o++ {
		m.messages = append(m.messages, &message.Message{Position: message.Position{Epoch: m.epoch, Offset: o}})
	}
	return m
}

func (m *model) history(since message.Position) engine.Page {
	page := engine.Page{Top: message.Position{Epoch: m.epoch, Offset: m.top}}
	reach, known := m.reach[since.Epoch]
	page.Reach = reach
	switch {
	case !known || since.Offset > reach:
		page.Gap = message.GapLost
		return page
	case since.Offset+1 < m.first:
		page.Gap = message.GapTrimmed
	}
	for _, one := range m.messages {
		if one.Offset > since.Offset {
			page.Messages = append(page.Messages, one)
		}
	}
	return page
}

// D2, D10: what recoverFrom tells from another's page is what the log says to the
// position itself; and it tells for every position of that epoch from there on.
func TestASharedAnswerIsTheAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawModel(t)
		epochs := rapid.SampledFrom([]string{"a", "b", "c", "x"})
		offsets := rapid.Uint64Range(0, 33)
		asked := message.Position{Epoch: epochs.Draw(t, "asked epoch"), Offset: offsets.Draw(t, "asked")}
		since := message.Position{Epoch: epochs.Draw(t, "epoch"), Offset: offsets.Draw(t, "since")}
		r, ok := recoverFrom(since, m.history(asked), asked)
		if may := since.Epoch == asked.Epoch && since.Offset >= asked.Offset; ok != may {
			t.Fatalf("asked %v, since %v: told %v", asked, since, ok)
		}
		if !ok {
			return
		}
		want := m.history(since)
		if r.top != want.Top || r.gap != want.Gap {
			t.Fatalf("asked %v, since %v: %v %q, want %v %q", asked, since, r.top, r.gap, want.Top, want.Gap)
		}
		if want.Gap != "" {
			want.Messages = nil
		}
		if len(r.missed) != len(want.Messages) || len(r.missed) > 0 && r.missed[0] != want.Messages[0] {
			t.Fatalf("asked %v, since %v: %d messages, want %d", asked, since, len(r.missed), len(want.Messages))
		}
	})
}

// D2: an entry that somebody deleted is a gap for those before it alone.
func TestAHoleIsAGapForThoseBeforeIt(t *testing.T) {
	page := engine.Page{Top: at("c", 9), Reach: 9, Gap: message.GapTrimmed}
	for _, o := range []uint64{5, 6, 8, 9} {
		page.Messages = append(page.Messages, &message.Message{Position: at("c", o)})
	}
	for since, want := range map[uint64]message.GapReason{4: message.GapTrimmed, 6: message.GapTrimmed, 7: "", 8: "", 9: ""} {
		if r, ok := recoverFrom(at("c", since), page, at("c", 4)); !ok || r.gap != want {
			t.Errorf("since %d: gap %q, want %q", since, r.gap, want)
		}
	}
}

// A short list does not keep a long one in memory; a long one is not copied.
func TestAShortListIsCopied(t *testing.T) {
	page := engine.Page{Top: at("c", 100), Reach: 100}
	for o := range uint64(100) {
		page.Messages = append(page.Messages, &message.Message{Position: at("c", o+1)})
	}
	for missed, copied := range map[int]bool{24: true, 25: false, 100: false} {
		from := 100 - missed
		r, ok := recoverFrom(at("c", uint64(from)), page, at("c", 0))
		if !ok || len(r.missed) != missed || (&r.missed[0] != &page.Messages[from]) != copied {
			t.Errorf("%d missed: copied %v", missed, !copied)
		}
	}
}

// Groups: of one epoch, and on the channel's own timeline those far behind apart.
func TestGroupsOfThoseWhoComeBack(t *testing.T) {
	for _, c := range []struct {
		since, channel message.Position
		far            bool
	}{
		{at("c", 1), at("c", farBehind), false}, {at("c", 0), at("c", farBehind+1), true}, {at("c", 1), at("c", farBehind+1), false},
		{at("c", 2), at("c", farBehind+3), true}, {at("b", 1), at("c", 5000), false}, {at("c", 0), at("c", 1), false},
	} {
		if got := groupOf(c.since, c.channel); got != (group{c.since.Epoch, c.far}) {
			t.Errorf("since %v, at %v: %+v", c.since, c.channel, got)
		}
	}
}

// Those who missed little go first, and in turn with the others.
func TestWhoMissedLittleDoesNotWaitForLongLogs(t *testing.T) {
	u := &catchUp{}
	channel := at("c", 5000)
	for _, p := range []message.Position{at("x", 1), at("c", 1), at("c", 4999), at("c", 4500), at("y", 1), at("c", 2)} {
		u.waiting = append(u.waiting, &waiter{since: p})
	}
	var order []message.Position
	for {
		group := u.nextGroup(channel)
		if len(group) == 0 {
			break
		}
		order = append(order, group[0].since)
		if len(order) == 1 {
			u.waiting = append(u.waiting, &waiter{since: at("c", 4998)})
		}
	}
	want := []message.Position{at("c", 4999), at("x", 1), at("c", 4998), at("c", 1), at("y", 1)}
	if len(order) != len(want) {
		t.Fatalf("served %v, want %v", order, want)
	}
	for i := range want {
		if order[i] != want[i] {
			t.Fatalf("served %v, want %v", order, want)
		}
	}
}

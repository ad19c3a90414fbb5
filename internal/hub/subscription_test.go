package hub

import (
	"fmt"
	"slices"
	"testing"

	"magpie/internal/channel"
	"magpie/internal/message"
)

// diary is a Subscriber that writes down what it is told.
type diary struct{ lines []string }

func (d *diary) Deliver(b *message.Batch) {
	if len(b.Messages) == 0 {
		d.lines = append(d.lines, "nothing")
	}
	for _, m := range b.Messages {
		d.lines = append(d.lines, m.Position.String())
	}
}

func (d *diary) Gap(g message.Gap) {
	d.lines = append(d.lines, fmt.Sprintf("gap %v to %v", g.From, g.Now))
}

func at(epoch string, offset uint64) message.Position {
	return message.Position{Epoch: epoch, Offset: offset}
}

func deliver(s *Subscription, places ...message.Position) {
	b := &message.Batch{}
	for _, p := range places {
		b.Messages = append(b.Messages, &message.Message{Channel: "chat", Position: p})
	}
	deliverTo([]*Subscription{s}, b)
}

// joined is a subscription in a channel of its own, subscribed and not live.
func joined(to Subscriber, log int) *Subscription {
	c := &channelState{name: "chat", rule: &channel.Rule{Log: channel.Log{Size: log}}}
	return newSubscription(c, to)
}

// D10: the log was read up to 12 on one timeline, then Redis went back to 10
// and on from there. The channel, which stood at 10, misses nothing; whoever has
// 11 and 12 of the other timeline is told so and sees none of them in silence.
func TestATimelineThatForksBeforeAJoinIsTold(t *testing.T) {
	for _, held := range []bool{false, true} {
		var d diary
		s := joined(&d, 100)
		s.startAfter(at("a", 12), at("a", 10))
		if !held {
			s.Live()
		}
		deliver(s, at("b", 11), at("b", 12))
		deliver(s, at("b", 13))
		if held {
			s.Live()
		}
		if s.state.Load() != live {
			t.Errorf("held %v: in state %d", held, s.state.Load())
		}
		deliver(s, at("b", 14))
		want := []string{"gap a.12 to b.10", "b.11", "b.12", "b.13", "b.14"}
		if !slices.Equal(d.lines, want) {
			t.Errorf("held %v: got %q, want %q", held, d.lines, want)
		}
	}
}

// D1, D10: where the new timeline begins behind what was read nothing is told
// and nothing comes twice.
func TestATimelineThatGoesOnBehindAJoinIsNoGap(t *testing.T) {
	var d diary
	s := joined(&d, 100)
	s.startAfter(at("a", 12), at("a", 10))
	s.Live()
	deliver(s, at("a", 11), at("a", 12), at("b", 13))
	deliver(s, at("b", 14))
	if want := []string{"b.13", "b.14"}; !slices.Equal(d.lines, want) {
		t.Errorf("got %q, want %q", d.lines, want)
	}
}

// D2: a join that takes too long loses its place to a gap that names one;
// messages without a place never make such a gap.
func TestAGapOfALongJoinNamesAPlace(t *testing.T) {
	var d diary
	s := joined(&d, 100)
	s.startAfter(at("a", 1), at("a", 1))
	big := make([]byte, maxBuffered/2)
	for _, m := range []*message.Message{
		{Channel: "chat", Position: at("a", 2), Payload: big},
		{Channel: "chat", Payload: big}, // skips the log: goes
		{Channel: "chat", Position: at("a", 3), Payload: big},
		{Channel: "chat", Position: at("a", 4)},
	} {
		deliverTo([]*Subscription{s}, &message.Batch{Messages: []*message.Message{m}})
	}
	s.Live()
	if want := []string{"gap a.1 to a.3", "a.4"}; !slices.Equal(d.lines, want) {
		t.Errorf("got %q, want %q", d.lines, want)
	}
}

// D2: a gap begins where the subscriber is when it is told.
func TestAGapBehindHeldMessagesBeginsAtTheLast(t *testing.T) {
	var d diary
	s := joined(&d, 100)
	s.startAfter(at("a", 1), at("a", 1))
	deliver(s, at("a", 2))
	s.gap(&message.Gap{Channel: "chat", From: at("a", 2), Now: at("a", 9)})
	s.Live()
	if want := []string{"a.2", "gap a.2 to a.9"}; !slices.Equal(d.lines, want) {
		t.Errorf("got %q, want %q", d.lines, want)
	}
}

// D10: what comes of the timeline that the channel was on when the log had left
// it is left out; the first that is new ends that, whatever comes then.
func TestATimelineThatTheLogHasLeftIsLeftOut(t *testing.T) {
	var d diary
	s := joined(&d, 100)
	s.startAfter(at("b", 12), at("a", 10))
	s.Live()
	deliver(s, at("a", 11), at("a", 13), at("b", 11), at("b", 12))
	if s.state.Load() != skipping {
		t.Errorf("in state %d before anything new came", s.state.Load())
	}
	deliver(s, at("b", 13))
	if s.state.Load() != live || s.join.Load() != nil {
		t.Errorf("in state %d after something new came", s.state.Load())
	}
	if want := []string{"b.13"}; !slices.Equal(d.lines, want) {
		t.Errorf("got %q, want %q", d.lines, want)
	}
	same := joined(&d, 100)
	same.startAfter(at("a", 10), at("a", 10))
	same.Live()
	if same.state.Load() != live || same.join.Load() != nil {
		t.Errorf("in state %d with nothing to skip", same.state.Load())
	}
}

// What was buffered for a subscription that left meanwhile is not delivered.
func TestLeavingBeforeLive(t *testing.T) {
	var d diary
	s := joined(&d, 100)
	s.channel.hub = New(Config{})
	s.channel.use.count = 1
	s.channel.receivers.list = []*Subscription{s}
	s.startAfter(at("a", 10), at("a", 10))
	deliver(s, at("a", 11))
	s.gap(&message.Gap{Now: at("b", 1)})
	s.Leave()
	s.Live()
	deliver(s, at("b", 2))
	if len(d.lines) != 0 || s.state.Load() != left {
		t.Errorf("got %q in state %d", d.lines, s.state.Load())
	}
}

// The payload before the first message that is new is that of the publication
// before it, also when both came in one batch.
func TestThePayloadBeforeWhatIsNew(t *testing.T) {
	for _, delta := range []bool{true, false} {
		var got message.Batch
		s := joined(lastBatch{&got}, 100)
		s.channel.rule.Delta = delta
		s.startAfter(at("a", 12), at("a", 10))
		s.Live()
		deliverTo([]*Subscription{s}, &message.Batch{Before: []byte("10"), Messages: []*message.Message{
			{Position: at("a", 11), Payload: []byte("11")}, {Position: at("a", 12), Payload: []byte("12")},
		}})
		deliverTo([]*Subscription{s}, &message.Batch{Before: []byte("x"), Messages: []*message.Message{
			{Position: at("a", 12), Payload: []byte("12")}, {Position: at("a", 12), Kind: message.Join, Payload: []byte("joined")}, {Position: at("a", 13), Payload: []byte("13")},
		}})
		want := "x"
		if delta {
			want = "12"
		}
		if string(got.Before) != want || len(got.Messages) != 1 {
			t.Errorf("delta %v: before %q, %d messages", delta, got.Before, len(got.Messages))
		}
	}
}

// lastBatch keeps what it is delivered last.
type lastBatch struct{ b *message.Batch }

func (l lastBatch) Deliver(b *message.Batch) { l.b.Messages, l.b.Before = b.Messages, b.Before }
func (l lastBatch) Gap(message.Gap)          {}

// What a join keeps is bounded to the byte; without a log everything counts.
func TestAJoinKeepsSoMuch(t *testing.T) {
	fits := make([]byte, maxBuffered/2-64)
	for _, c := range []struct {
		what   string
		log    int
		second *message.Message
		want   []string
	}{
		{"all of it", 1, &message.Message{Position: at("a", 2), Payload: fits}, []string{"a.1", "a.2"}},
		{"a byte more", 1, &message.Message{Position: at("a", 2), Payload: append(fits, 0)}, []string{"gap a.0 to a.2"}},
		{"all of it, without a place", 1, &message.Message{Payload: fits}, []string{"a.1", ".0"}},
		{"a byte more, without a place", 1, &message.Message{Payload: append(fits, 0)}, []string{"a.1"}},
		{"a byte more, without a log", 0, &message.Message{Payload: append(fits, 0)}, nil},
	} {
		var d diary
		s := joined(&d, c.log)
		s.startAfter(at("a", 0), at("a", 0))
		for _, m := range []*message.Message{{Position: at("a", 1), Payload: fits}, c.second} {
			deliverTo([]*Subscription{s}, &message.Batch{Messages: []*message.Message{m}})
		}
		s.Live()
		if c.log == 0 {
			c.want = []string{"gap a.0 to .0"}
		}
		if !slices.Equal(d.lines, c.want) {
			t.Errorf("%s: %q, want %q", c.what, d.lines, c.want)
		}
	}
}

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
	s.deliver(b)
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
		s.deliver(&message.Batch{Messages: []*message.Message{m}})
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

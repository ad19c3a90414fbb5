package session

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"magpie/internal/auth"
	"magpie/internal/fault"
	"magpie/internal/message"
)

// drip is a Link whose client reads so many bytes a second.
type drip struct {
	rate int
	over chan struct{}
	read atomic.Int64
}

func (d *drip) TryWrite([]byte) (int, error) { return 0, nil }
func (d *drip) CloseLink(fault.Reason)       { close(d.over) }
func (d *drip) Write(frames [][]byte) error {
	for _, f := range frames {
		select {
		case <-time.After(time.Duration(len(f)) * time.Second / time.Duration(d.rate)):
			d.read.Add(int64(len(f)))
		case <-d.over:
			return ErrClosed
		}
	}
	return nil
}

// R3: a backlog has a time, by its size, within which it must be read. Who is
// slower is slow and holds room that others wait for; who keeps to the rate is
// not.
func TestABacklogHasToBeRead(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		what      string
		rate      int
		frames    int // of 1 MB
		reason    fault.Reason
		after     time.Duration // of its end
		stillHeld bool
	}{
		{what: "at the rate", rate: backlogRate, frames: 1},
		{what: "a slow network within the grace", rate: mb / 9, frames: 1},
		{what: "16 MB within a minute", rate: mb / 3, frames: 16},
		{what: "nothing", rate: 1, frames: 1, reason: fault.ReasonSlow, after: 26 * time.Second},
		{what: "half of the rate", rate: backlogRate / 2, frames: 1, reason: fault.ReasonSlow, after: 26 * time.Second},
		{what: "so much that the rate would give it five minutes", rate: backlogRate, frames: 19, reason: fault.ReasonSlow, after: time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			var ended time.Duration
			n := &Shared{Outbox: 1, Closed: func(*Session, fault.Reason) { ended = time.Since(began) }}
			s, l := new(Session), &drip{rate: c.rate, over: make(chan struct{})}
			s.Open(n, l, auth.Identity{Kind: auth.Guest})
			for range c.frames {
				s.SendBacklog(make([]byte, mb))
			}
			s.Attach()
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			if s.Reason() != c.reason || ended != c.after {
				t.Errorf("%s: ended as %q after %s, want %q after %s", c.what, s.Reason(), ended, c.reason, c.after)
			}
			if got := n.Budget.bytes.Load(); got != 0 {
				t.Errorf("%s: %d bytes are still counted", c.what, got)
			}
			if c.reason == "" {
				s.Close(fault.ReasonClient)
			}
		})
	}
}

// R2, R3: what Join finds is in the budget before its frames are made, and once
// they are sent the budget has what they really take.
func TestWhatWasFoundIsReserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Shared{Outbox: 1, Subscriptions: 2, Closed: func(*Session, fault.Reason) {}}
		s, l := new(Session), &sink{full: true, over: make(chan struct{})}
		s.Open(n, l, auth.Identity{Kind: auth.Guest})
		found := []*message.Message{{Payload: make([]byte, 10)}} // control characters
		reserved, err := n.Budget.reserve(t.Context(), found)
		if want := 10*6 + 10/3 + 256; err != nil || reserved != want || n.Budget.bytes.Load() != int64(want) {
			t.Fatalf("%d bytes are reserved, want %d: %v", reserved, want, err)
		}
		if err := s.register(nil, reserved); err != nil {
			t.Fatal(err)
		}
		s.SendBacklog(make([]byte, 100))
		if got := n.Budget.bytes.Load(); got != int64(reserved) {
			t.Errorf("while it is sent %d bytes are counted", got)
		}
		s.BacklogSent()
		if got := n.Budget.bytes.Load(); got != 100 {
			t.Errorf("once it is sent %d bytes are counted", got)
		}
		if reserved, err = n.Budget.reserve(t.Context(), found); err != nil {
			t.Fatal(err)
		}
		if err := s.register(nil, reserved); err != nil {
			t.Fatal(err)
		}
		s.subs = nil
		s.Close(fault.ReasonClient)
		synctest.Wait()
		if got := n.Budget.bytes.Load(); got != 0 {
			t.Errorf("after the end %d bytes are counted", got)
		}
		n.Wait()
	})
}

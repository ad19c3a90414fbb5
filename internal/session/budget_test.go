package session

import (
	"testing"
	"testing/synctest"

	"magpie/internal/auth"
	"magpie/internal/fault"
)

// sink is a Link that takes everything, unless it is full: then it takes
// nothing until its session closes.
type sink struct {
	full bool
	over chan struct{}
}

func (s *sink) TryWrite([]byte) (int, error) { return 0, nil }
func (s *sink) CloseLink(fault.Reason)       { close(s.over) }
func (s *sink) Write([][]byte) error {
	if s.full {
		<-s.over
		return ErrClosed
	}
	return nil
}

// What waits is counted until it is written, or the session ends.
func TestABacklogIsCountedWhileItWaits(t *testing.T) {
	for _, full := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			n := &Shared{Outbox: 1, Closed: func(*Session, fault.Reason) {}}
			s, l := new(Session), &sink{full: full, over: make(chan struct{})}
			s.Open(n, l, auth.Identity{Kind: auth.Guest})
			s.SendBacklog(make([]byte, 10))
			s.Attach()
			s.SendBacklog(make([]byte, 20))
			s.SendBacklog(make([]byte, 30))
			synctest.Wait()
			want := int64(0)
			if full {
				want = 60
			}
			if got := n.Budget.bytes.Load(); got != want {
				t.Errorf("full %v: %d bytes are counted, want %d", full, got, want)
			}
			s.Close(fault.ReasonClient)
			s.SendBacklog(make([]byte, 40))
			synctest.Wait()
			if got := n.Budget.bytes.Load(); got != 0 {
				t.Errorf("full %v: %d bytes are still counted", full, got)
			}
		})
	}
}

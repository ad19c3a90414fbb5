package socket

import (
	"log/slog"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type seated struct{ seat Seat }

func (s *seated) Seat() *Seat     { return &s.seat }
func (s *seated) Received([]byte) {}
func (s *seated) Lost(error)      {}

// An event that was fetched before a close does not reach the connection that
// took the place (and maybe the descriptor) after it.
func TestStaleEventsFindNobody(t *testing.T) {
	closing := false
	sh, err := NewShard[*seated](Config{Buffer: 1 << 10, Closing: func() bool { return closing }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	old, young := &seated{}, &seated{}
	sh.Add(old)
	at, gen := old.seat.at, old.seat.gen
	if sh.find(at, gen) != old {
		t.Fatal("a connection is not found in its place")
	}
	sh.Remove(old)
	if sh.find(at, gen) != nil {
		t.Error("a removed connection is found")
	}
	sh.Add(young)
	if young.seat.at != at {
		t.Fatalf("places are not used again: %d, then %d", at, young.seat.at)
	}
	if sh.find(at, gen) != nil || sh.Holds(old) {
		t.Error("an old event finds the new connection")
	}
	if sh.Len() != 1 || !sh.Holds(young) || len(sh.All()) != 1 {
		t.Error("the new connection is not in its place")
	}
	if closing = true; sh.Add(old) {
		t.Error("a connection was added while the server closes")
	}
	sh.Close()
	sh.Close()
}

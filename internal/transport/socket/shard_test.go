package socket

import (
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type conn struct{ slot Slot }

func (c *conn) Slot() *Slot          { return &c.slot }
func (c *conn) Received([]byte) bool { return true }
func (c *conn) Lost(error)           {}
func (c *conn) Inside() bool         { return false }

// An event that was fetched before a close does not reach the connection that
// took the place (and maybe the descriptor) after it.
func TestStaleEventsFindNoConnection(t *testing.T) {
	sh := &shard[*conn]{closing: new(atomic.Bool)}
	old, young := &conn{}, &conn{}
	sh.add(old)
	at, gen := old.slot.at, old.slot.gen
	if sh.find(at, gen) != old {
		t.Fatal("a connection is not found in its place")
	}
	if !sh.remove(old) || sh.remove(old) {
		t.Error("a connection is not removed once")
	}
	if sh.find(at, gen) != nil {
		t.Error("a removed connection is found")
	}
	sh.add(young)
	if young.slot.at != at {
		t.Fatalf("places are not used again: %d, then %d", at, young.slot.at)
	}
	if sh.find(at, gen) != nil || sh.holds(old) || sh.remove(old) {
		t.Error("an old event finds the new connection")
	}
	if sh.len() != 1 || !sh.holds(young) || len(sh.all()) != 1 {
		t.Error("the new connection is not in its place")
	}
	if sh.closing.Store(true); sh.add(old) {
		t.Error("a connection was added while the server closes")
	}
}

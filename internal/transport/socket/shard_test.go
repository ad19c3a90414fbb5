package socket

import (
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// conn is a connection that tells what it is told.
type conn struct {
	slot         Slot
	received     chan string
	lost         chan error
	inside, stop atomic.Bool
}

func (c *conn) Slot() *Slot { return &c.slot }
func (c *conn) Received(b []byte) bool {
	c.received <- string(b)
	return !c.stop.Load()
}
func (c *conn) Lost(err error) { c.lost <- err }
func (c *conn) Inside() bool   { return c.inside.Load() }

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

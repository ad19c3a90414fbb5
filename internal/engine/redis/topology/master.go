package topology

import (
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/engine"
)

// silentAfter is how long Redis may be silent before calls fail at once.
// Longer than a fork or a big delete may stall it.
const silentAfter = 2 * time.Second

// inFlight is the most calls that wait for replies at once. It is half of what
// the client queues: a full queue would ignore a call's context.
const inFlight = 1024

// clock is what times are measured from. It is monotonic.
var clock = time.Now()

// Master is one Redis that takes writes.
type Master struct {
	// set at construction
	Addr   string // what messages call it
	Client rueidis.Client
	line   chan struct{} // one place per call in flight

	lastReply atomic.Int64         // when it last answered, since clock
	tags      atomic.Pointer[tags] // owned by cluster
}

// tags are words that lie in the lowest and in the highest slot of a master.
type tags struct{ low, high string }

// newMaster is of a Redis that has just answered.
func newMaster(addr string, client rueidis.Client) *Master {
	m := &Master{Addr: addr, Client: client, line: make(chan struct{}, inFlight)}
	m.tags.Store(&tags{})
	m.Answered()
	return m
}

// Tags are two words that put a name on this master, where names are sharded.
// When one is moved to another master the other still holds. Else both are
// empty.
func (m *Master) Tags() (low, high string) {
	t := m.tags.Load()
	return t.low, t.high
}

// Answered notes that the master answered.
func (m *Master) Answered() { m.lastReply.Store(int64(time.Since(clock))) }

// Silence answers nil while the master is not known to be silent.
func (m *Master) Silence() error {
	if silent := time.Since(clock) - time.Duration(m.lastReply.Load()); silent > silentAfter {
		return engine.Unavailable("Redis at %s has not answered for %s", m.Addr, silent.Round(100*time.Millisecond))
	}
	return nil
}

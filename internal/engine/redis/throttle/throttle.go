// Package throttle keeps log lines rare that a fault may cause by the thousand.
//
// It does no I/O and starts no goroutine. It is not x/time's rate.Sometimes:
// that one runs what it lets through under its lock, and so would make the
// reader of Redis wait for another goroutine's log line.
package throttle

import (
	"sync"
	"time"
)

// every is how often a line may come.
const every = time.Minute

// Throttle lets one line through a minute. Its zero value is ready.
type Throttle struct {
	mu   sync.Mutex
	next time.Time
}

// Allow tells whether this one may go through. It is safe for concurrent use.
func (t *Throttle) Allow() bool {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Before(t.next) {
		return false
	}
	t.next = now.Add(every)
	return true
}

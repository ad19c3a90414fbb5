// Package throttle keeps log lines rare that a failure may cause by the
// thousand: one when it begins, more at growing intervals, one when it ends.
//
// It does no I/O and starts no goroutine. It is not x/time's rate.Sometimes:
// that one runs what it lets through under its lock, and so would make the
// reader of Redis wait for another goroutine's log line.
package throttle

import (
	"fmt"
	"sync"
	"time"
)

// Lines come at intervals that double between these. A failure that is not seen
// for the longest has ended, although nobody said so.
const (
	first   = 10 * time.Second
	longest = 10 * time.Minute
)

// Throttle is about failures of one kind. Its zero value is ready. Its methods
// are safe for concurrent use.
type Throttle struct {
	mu    sync.Mutex // guards what follows
	times int        // since it began; 0: it has not
	began time.Time
	last  time.Time
	next  time.Time // when the next line may come
	wait  time.Duration
}

// Allow counts one failure and tells whether it may have a line in the log.
func (t *Throttle) Allow() bool {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.times > 0 && now.Sub(t.last) > longest {
		t.times = 0
	}
	t.times++
	t.last = now
	switch {
	case t.times == 1:
		t.began, t.wait = now, first
	case now.Before(t.next):
		return false
	default:
		t.wait = min(2*t.wait, longest)
	}
	t.next = now.Add(t.wait)
	return true
}

// Times is how many failures there have been since it began.
func (t *Throttle) Times() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.times
}

// End says that it is over: "ended after N times in T". It returns "" when
// nothing had begun.
func (t *Throttle) End() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.times == 0 {
		return ""
	}
	text := fmt.Sprintf("ended after %d times in %s", t.times, time.Since(t.began).Round(time.Millisecond))
	if t.times == 1 {
		text = fmt.Sprintf("ended after 1 time in %s", time.Since(t.began).Round(time.Millisecond))
	}
	t.times = 0
	return text
}

// Kinds are failures of several kinds, of which there are few. Its zero value is
// ready. Its methods are safe for concurrent use.
type Kinds struct {
	mu   sync.Mutex // guards what follows
	each map[string]*Throttle
}

// Of is the Throttle of one kind.
func (k *Kinds) Of(kind string) *Throttle {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.each[kind]
	if t == nil {
		if k.each == nil {
			k.each = map[string]*Throttle{}
		}
		t = &Throttle{}
		k.each[kind] = t
	}
	return t
}

// End ends all that have begun, and returns what is to be said of each.
func (k *Kinds) End() (ended map[string]string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for kind, t := range k.each {
		if text := t.End(); text != "" {
			if ended == nil {
				ended = map[string]string{}
			}
			ended[kind] = text
		}
	}
	return ended
}

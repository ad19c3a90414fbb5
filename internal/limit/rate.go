// Package limit holds back those who want too much at once.
//
// It does no I/O and starts no goroutine.
package limit

import (
	"sync/atomic"
	"time"
)

// Rate is how much may be taken: one Every so often, and Burst of them at once
// after a rest. The zero value sets no bound.
type Rate struct {
	Every time.Duration
	Burst int
}

// Bucket is what somebody has taken of a Rate: a token bucket in one word, so
// that those who take nothing cost nothing. The zero value is full. It is safe
// for concurrent use.
//
// The word is when the bucket is full again, in nanoseconds since Unix's epoch
// (the generic cell rate algorithm, ITU-T I.371).
type Bucket struct{ full atomic.Int64 }

// Take takes one. If there is none it takes nothing and returns how long it is
// until there is one. It neither blocks nor allocates.
func (r Rate) Take(b *Bucket, now time.Time) (wait time.Duration) { return r.TakeMany(b, now, 1) }

// TakeMany is Take of n at once. Who wants more than Burst takes that.
func (r Rate) TakeMany(b *Bucket, now time.Time, n int) (wait time.Duration) {
	if r.Every == 0 {
		return 0
	}
	every, burst := int64(r.Every), int64(max(r.Burst, 1))
	room, taken := every*burst, every*min(int64(n), burst)
	for {
		before := b.full.Load()
		at := max(before, now.UnixNano()) + taken
		if over := at - now.UnixNano() - room; over > 0 {
			return time.Duration(over)
		}
		if b.full.CompareAndSwap(before, at) {
			return 0
		}
	}
}

// Shared is a Bucket that many take from together. The zero value is full, and calm.
// It is safe for concurrent use.
type Shared struct {
	Bucket
	flooded atomic.Int64 // until then, in nanoseconds since Unix's epoch
}

// Flood says that one of those who share the bucket takes more than it may alone.
// Flooded answers so until the time given.
func (s *Shared) Flood(until time.Time) { s.flooded.Store(until.UnixNano()) }

// Flooded tells whether Flood was called of late.
func (s *Shared) Flooded(now time.Time) bool { return s.flooded.Load() > now.UnixNano() }

// Rested tells whether the bucket is full and nobody floods it: it is as if it were new.
func (s *Shared) Rested(now time.Time) bool { return s.Bucket.Rested(now) && !s.Flooded(now) }

// Rested tells whether the bucket is full: it is as if nothing had ever been taken.
func (b *Bucket) Rested(now time.Time) bool { return b.full.Load() <= now.UnixNano() }

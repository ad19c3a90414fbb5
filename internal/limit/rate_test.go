package limit

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A bucket gives what a slow and obvious one gives, whenever it is asked, and
// what it says of the wait is true.
func TestABucketIsOne(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := Rate{Every: time.Second / rapid.SampledFrom([]time.Duration{1, 2, 10, 1000}).Draw(rt, "rate"), Burst: rapid.IntRange(0, 20).Draw(rt, "burst")}
		every := r.Every
		var b Bucket
		now := time.Unix(1_700_000_000, 0)
		tokens, at := max(r.Burst, 1)*int(every), now // in nanoseconds of their time
		for range rapid.IntRange(1, 60).Draw(rt, "times") {
			now = now.Add(time.Duration(rapid.Int64Range(0, 3*int64(every)).Draw(rt, "pause")))
			tokens, at = min(tokens+int(now.Sub(at)), max(r.Burst, 1)*int(every)), now
			n := rapid.IntRange(1, 30).Draw(rt, "n")
			need := min(n, max(r.Burst, 1)) * int(every)
			if b.Rested(now) != (tokens == max(r.Burst, 1)*int(every)) {
				rt.Fatalf("%d are left, rested: %v", tokens, b.Rested(now))
			}
			wait := r.TakeMany(&b, now, n)
			if given := tokens >= need; given != (wait == 0) {
				rt.Fatalf("given %v, want %v", wait == 0, given)
			} else if given {
				tokens -= need
			} else if want := time.Duration(need - tokens); wait != want {
				rt.Fatalf("wait %s, want %s", wait, want)
			}
		}
	})
}

// No bound, no refusal.
func TestTheZeroRate(t *testing.T) {
	var b Bucket
	for range 1000 {
		if (Rate{}).Take(&b, time.Unix(1, 0)) != 0 {
			t.Fatal("refused")
		}
	}
}

// Those who take at the same time get what there is, and no more.
func TestABucketIsShared(t *testing.T) {
	r, now := Rate{Every: 100 * time.Millisecond, Burst: 100}, time.Unix(1, 0)
	var b Bucket
	var given atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				if r.Take(&b, now) == 0 {
					given.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := given.Load(); n != 100 {
		t.Errorf("%d were given of 100", n)
	}
}

func TestTakingDoesNotAlloc(t *testing.T) {
	r, now := Rate{Every: time.Millisecond, Burst: 1}, time.Now()
	var b Bucket
	if n := testing.AllocsPerRun(100, func() { r.Take(&b, now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTake(b *testing.B) {
	r := Rate{Every: 1, Burst: 1 << 30}
	var bucket Bucket
	for b.Loop() {
		r.Take(&bucket, time.Now())
	}
}

// Who floods what others share is known for a while, and the bucket is not
// forgotten meanwhile.
func TestAFloodIsRemembered(t *testing.T) {
	var s Shared
	now := time.Unix(1_700_000_000, 0)
	if s.Flooded(now) || !s.Rested(now) {
		t.Error("flooded from the start")
	}
	s.Flood(now.Add(time.Minute))
	for after, want := range map[time.Duration]bool{0: true, time.Minute - 1: true, time.Minute: false} {
		if at := now.Add(after); s.Flooded(at) != want || s.Rested(at) == want {
			t.Errorf("after %s: flooded %v, rested %v", after, s.Flooded(at), s.Rested(at))
		}
	}
}

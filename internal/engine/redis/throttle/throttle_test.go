package throttle

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The first failure is told, later ones at growing intervals, and the end with
// how many there were.
func TestLinesComeAtGrowingIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var throttle Throttle
		var told []time.Duration
		for at := time.Duration(0); at < time.Hour; at += time.Second {
			if throttle.Allow() {
				told = append(told, at)
			}
			time.Sleep(time.Second)
		}
		want := []time.Duration{0, 10, 30, 70, 150, 310, 630, 1230, 1830, 2430, 3030}
		for i := range want {
			want[i] *= time.Second
		}
		if !slices.Equal(told, want) {
			t.Errorf("told at %v, want %v", told, want)
		}
		if got := throttle.Times(); got != 3600 {
			t.Errorf("%d times", got)
		}
		if got := throttle.End(); got != "ended after 3600 times in 1h0m0s" {
			t.Errorf("end: %q", got)
		}
		if got := throttle.End(); got != "" {
			t.Errorf("a second end: %q", got)
		}
		if !throttle.Allow() {
			t.Error("the first failure after an end is not told")
		}
	})
}

// What nobody says the end of has ended when it is not seen for long.
func TestAFailureAfterALongQuietIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var throttle Throttle
		throttle.Allow()
		throttle.Allow()
		time.Sleep(longest + time.Second)
		if !throttle.Allow() || throttle.Times() != 1 {
			t.Errorf("%d times", throttle.Times())
		}
	})
}

// Of many goroutines that meet a failure at once, one tells of it.
func TestOneOfManyTells(t *testing.T) {
	var throttle Throttle
	var told atomic.Int64
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if throttle.Allow() {
				told.Add(1)
			}
		})
	}
	wg.Wait()
	if told.Load() != 1 {
		t.Errorf("told %d times", told.Load())
	}
}

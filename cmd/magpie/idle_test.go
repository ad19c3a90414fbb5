//go:build linux

package main

import (
	"runtime"
	"testing"
	"time"

	"magpie/internal/bench"
)

// A connection that says nothing costs memory only, and little of it: no
// goroutine, and no more bytes of heap than here. That is the whole server,
// from the accepted socket to the subscription, which can be resumed. The
// bounds are what was measured and 15 %: who goes over them on purpose moves
// them in the same commit.
func TestAnIdleConnectionIsABoundNumberOfBytes(t *testing.T) {
	const connections = 1000
	for door, most := range map[string]int64{"raw": 1240, "centrifuge": 1570} {
		t.Run(door, func(t *testing.T) {
			s := newTestServer(t, false)
			s.fill(door, warmUp)
			before := s.settled()
			s.fill(door, connections)
			after := s.settled()
			bytes, goroutines := (after.heap-before.heap)/connections, after.all-before.all
			t.Logf("%d bytes of heap for each, %d goroutines for all", bytes, goroutines)
			if goroutines > 5 {
				t.Errorf("%d goroutines for %d idle connections, want none:%s", goroutines, connections, after.errands(before, 10))
			}
			if bytes > most && !raceEnabled {
				t.Errorf("an idle connection holds %d bytes of heap, want at most %d", bytes, most)
			}
		})
	}
}

// One receiver more costs no allocation, on the whole way from the publisher's
// socket to the receivers'. The client is in this process, too, so it has not
// allocated either.
func TestAReceiverMoreIsNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates; make test runs this without it, too")
	}
	const few, many, messages = 50, 1050, 100
	for _, door := range []string{"raw", "centrifuge"} {
		t.Run(door, func(t *testing.T) {
			s := newTestServer(t, false)
			more := float64(s.publish(door, many, messages)) - float64(s.publish(door, few, messages))
			each := more / (messages * (many - few))
			t.Logf("%.4f allocations for a delivery", each)
			if each > 0.002 {
				t.Errorf("a delivery costs %.4f allocations, want none", each)
			}
		})
	}
}

// publish sends messages to so many receivers and returns how often anybody
// in this process allocated meanwhile.
func (s *testServer) publish(door string, receivers, messages int) uint64 {
	s.t.Helper()
	const rate = 200
	l, err := bench.NewLoad(s.t.Context(), bench.Plan{Connections: receivers, Size: 128, Rate: rate, Duration: time.Duration(messages) * time.Second / rate,
		Target: bench.Target{URL: s.url, Door: door, Recoverable: true}})
	if err != nil {
		s.t.Fatal(err)
	}
	defer l.Close()
	if err := l.Connect(); err != nil {
		s.t.Fatal(err)
	}
	// Once before, for what each receiver makes with its first message.
	if err := l.Publish(nil); err != nil {
		s.t.Fatal(err)
	}
	s.settled()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := l.Publish(nil); err != nil {
		s.t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if r := l.Result(); r.Received != 2*receivers*messages || r.Lost+r.Repeated+r.Reordered != 0 {
		s.t.Fatalf("%+v", r)
	}
	return after.Mallocs - before.Mallocs
}

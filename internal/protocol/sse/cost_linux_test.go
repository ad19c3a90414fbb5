package sse

import (
	"fmt"
	"math"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"magpie/internal/session"
)

// What an idle stream costs, everything counted: at most 1.5 KB of heap, and
// no goroutine.
func TestIdleStreamsAreCheap(t *testing.T) {
	const count = 4000
	e := listen(t, false)
	e.crowd(10)
	goroutines, heap := footprint()
	e.crowd(count)
	moreGoroutines, moreHeap := footprint()
	per := (int64(moreHeap) - int64(heap)) / count
	t.Logf("%d idle streams: %d bytes of heap each, %d goroutines more", count, per, moreGoroutines-goroutines)
	if per > 1536 && !raceEnabled {
		t.Errorf("an idle stream takes %d bytes of heap, want at most 1536", per)
	}
	if moreGoroutines-goroutines > 5 {
		t.Errorf("%d goroutines for %d idle streams", moreGoroutines-goroutines, count)
	}
}

// crowd opens streams without net.Conns on this side: what grows is the
// server's.
func (e *endpoint) crowd(count int) (fds []int) {
	e.t.Helper()
	before := e.streams.Len()
	at := netip.MustParseAddrPort(e.addr)
	long := strings.Repeat("x", 2000) // a token, say: it must not be kept with the channel's name
	request := fmt.Appendf(nil, "GET /sse?channel=chat&_=%s HTTP/1.1\r\nHost: %s\r\n\r\n", long, e.addr)
	e.t.Cleanup(func() {
		for _, fd := range fds {
			syscall.Close(fd)
		}
	})
	for range count {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			e.t.Fatal(err)
		}
		fds = append(fds, fd)
		if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}); err != nil {
			e.t.Fatal(err)
		}
		if _, err := syscall.Write(fd, request); err != nil {
			e.t.Fatal(err)
		}
	}
	eventually(e.t, "all streams", func() bool { return e.streams.Len() == before+count })
	return fds
}

// footprint waits until net/http's goroutines have ended, and what they held is
// collected: the heap has not become smaller ten times in a row.
func footprint() (goroutines int, heap uint64) {
	var m runtime.MemStats
	heap = math.MaxUint64
	for same := 0; same < 10; same++ {
		for range 3 { // pools give back what they hold after two
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		if n := runtime.NumGoroutine(); n != goroutines || m.HeapAlloc+m.HeapAlloc/256 < heap {
			goroutines, heap, same = n, m.HeapAlloc, 0
		}
		time.Sleep(5 * time.Millisecond) // finalizers run meanwhile
	}
	return goroutines, heap
}

// A delivery that the socket takes at once costs no allocation for each of its
// receivers: events are made once, and nobody copies them.
func TestADeliveryAllocatesNothing(t *testing.T) {
	e := listen(t, false)
	fds := e.crowd(1)
	var c *conn
	e.Node.Each(func(s *session.Session) bool { c = s.Link().(*conn); return true })
	b := sampleBatch(1)
	var buf [64 << 10]byte
	deliver := func() {
		c.subs[0].Deliver(b)
		syscall.Read(fds[0], buf[:])
	}
	if n := testing.AllocsPerRun(200, deliver); n != 0 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
}

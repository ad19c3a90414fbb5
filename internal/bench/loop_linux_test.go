package bench

import (
	"bytes"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"
)

// collector is a handler that writes much at once.
type collector struct {
	out []byte
	err error
}

func (c *collector) connected(to conn) error { return to.write(c.out) }
func (c *collector) data([]byte) error       { return nil }
func (c *collector) ended(err error)         { c.err = err }

// What the kernel does not take at once is sent later, in order.
func TestWritesBeyondTheKernelsBufferArriveWhole(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	sent := make([]byte, 8<<20)
	for i := range sent {
		sent[i] = byte(i / 1021)
	}
	got := make(chan []byte, 1)
	go func() {
		c, err := listener.Accept()
		if err != nil {
			got <- nil
			return
		}
		defer c.Close()
		all := make([]byte, len(sent))
		n, _ := io.ReadFull(c, all)
		got <- all[:n]
	}()
	loop, err := newThread()
	if err != nil {
		t.Fatal(err)
	}
	defer loop.close()
	c := &collector{out: sent}
	if err := loop.dial(listener.Addr().String(), 0, c); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); c.err == nil; loop.turn(time.Millisecond) {
		if _, out := loop.traffic(); time.Now().After(end) {
			t.Fatalf("%d of %d bytes left", out, len(sent))
		}
	}
	if all := <-got; !bytes.Equal(all, sent) {
		t.Errorf("%d of %d bytes arrived, or others", len(all), len(sent))
	}
}

// One thread serves this machine in plain TCP; all else has goroutines.
func TestOneThreadIsForThisMachineOnly(t *testing.T) {
	for url, want := range map[string]bool{
		"http://127.0.0.1:80": true, "http://127.0.0.9:8080/base": true,
		"http://192.0.2.1:80": false, "http://[::1]:80": false, "https://127.0.0.1:443": false, "http://localhost:80": false, "http://127.0.0.1": false,
	} {
		l, err := NewLoad(t.Context(), faultyPlan(url))
		if err != nil {
			t.Fatal(err)
		}
		if _, got := l.loop.(*thread); got != want {
			t.Errorf("%s: one thread %t, want %t", url, got, want)
		}
		if err := l.loop.dial("192.0.2.1:80", 0, &collector{}); want && err == nil {
			t.Error("one thread dials other machines")
		}
		l.Close()
	}
}

// A wait is as long as it was asked to be, and not in whole milliseconds.
func TestAThreadWaitsForPartsOfAMillisecond(t *testing.T) {
	loop, err := newThread()
	if err != nil {
		t.Fatal(err)
	}
	defer loop.close()
	var waits []time.Duration
	for range 100 {
		start := time.Now()
		loop.turn(100 * time.Microsecond)
		waits = append(waits, time.Since(start))
	}
	// Others may be busy, and a signal of Go's runtime ends a wait early.
	slices.Sort(waits)
	if short := waits[len(waits)/4]; short < 90*time.Microsecond || short > 900*time.Microsecond {
		t.Errorf("a quarter of the waits for 0.1 ms took %s at most", short)
	}
}

func TestUsageOfAProcess(t *testing.T) {
	for end := time.Now().Add(10 * time.Second); ; {
		u, err := UsageOf(os.Getpid())
		if err != nil || u.RSS < 1<<20 || time.Now().After(end) {
			t.Fatalf("%+v %v", u, err)
		}
		if u.CPU > 0 {
			break
		}
	}
	if _, err := UsageOf(1 << 30); err == nil {
		t.Error("nobody has used something")
	}
}

package address

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"magpie/internal/fault"
)

func newBook(l Limits, log io.Writer) *Book {
	return NewBook(nil, l, slog.New(slog.NewTextHandler(log, nil)))
}

// refused is the setting that a request is refused for.
func refused(err error) string {
	if err == nil {
		return ""
	}
	return fault.Of(err).Setting
}

func arrive(b *Book, peer string, times int) (last error) {
	for range times {
		_, last = b.Arrive(from(peer + ":80"))
	}
	return last
}

// H17: an address has a rate, and nobody else suffers from who is over it.
func TestHandshakesOfOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := newBook(Limits{Handshakes: 10}, &log)
		if err := arrive(b, "203.0.113.7", 10*burstSeconds); err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			err := arrive(b, "203.0.113.7", 1)
			if f := fault.Of(err); f.Kind != fault.TooMany || f.Setting != "max_address_handshakes" || f.Wait != time.Second/10 {
				t.Fatalf("%v, wait %s", err, f.Wait)
			}
		}
		if err := arrive(b, "203.0.113.8", 1); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if err := arrive(b, "203.0.113.7", 10); err != nil {
			t.Error(err)
		}
		if err := arrive(b, "203.0.113.7", 1); err == nil {
			t.Error("11 in a second")
		}
		if n := b.Metrics.Handshakes.Value(); n != 1001 {
			t.Errorf("%d counted", n)
		}
		if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "203.0.113.7") {
			t.Errorf("the log has %d lines: %s", n, log.String())
		}
	})
}

// Who may take any address of a network is one there.
func TestNetworksOfIPv6AreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(Limits{Handshakes: 1}, io.Discard)
		for i := range burstSeconds {
			if err := arrive(b, fmt.Sprintf("[2001:db8:0:1::%x]", i), 1); err != nil {
				t.Fatal(err)
			}
		}
		if got := refused(arrive(b, "[2001:db8:0:1:ffff::1]", 1)); got != "max_address_handshakes" {
			t.Errorf("the same network: %q", got)
		}
		if err := arrive(b, "[2001:db8:0:2::1]", 1); err != nil {
			t.Errorf("another one: %v", err)
		}
	})
}

// Behind an address of a private network there may be everybody.
func TestPrivateAddressesAreNotBounded(t *testing.T) {
	b := newBook(Limits{Handshakes: 1, Sessions: 1}, io.Discard)
	for _, peer := range []string{"127.0.0.1", "10.1.2.3", "192.168.1.1", "100.64.0.1", "169.254.1.1", "[::1]", "[fd00::1]", "[fe80::1]", "@"} {
		if err := arrive(b, peer, 100); err != nil {
			t.Errorf("%s: %v", peer, err)
		}
		c := b.Client(from(peer + ":80"))
		if err := errors.Join(c.Enter(), c.Enter()); err != nil {
			t.Errorf("%s: %v", peer, err)
		}
	}
}

// All together have a rate, too.
func TestHandshakesInAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(Limits{AllHandshakes: 100}, io.Discard)
		for i := range 100 * allBurstSeconds {
			if err := arrive(b, fmt.Sprintf("203.0.%d.%d", i/256, i%256), 1); err != nil {
				t.Fatal(err)
			}
		}
		err := arrive(b, "127.0.0.1", 1)
		if f := fault.Of(err); f.Kind != fault.Unavailable || f.Setting != "max_handshakes" || f.Wait < time.Second || f.Wait > 5*time.Second {
			t.Errorf("%v, wait %s", err, f.Wait)
		}
		time.Sleep(time.Second)
		if err := arrive(b, "127.0.0.1", 100); err != nil {
			t.Error(err)
		}
	})
}

// R7: sessions are counted while they last.
func TestSessionsOfOneAddress(t *testing.T) {
	b := newBook(Limits{Sessions: 3}, io.Discard)
	c, other := b.Client(from("203.0.113.7:80")), b.Client(from("203.0.113.8:80"))
	for range 3 {
		if err := c.Enter(); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		if got := refused(c.Enter()); got != "max_address_sessions" {
			t.Fatalf("refused for %q", got)
		}
	}
	if err := other.Enter(); err != nil {
		t.Error(err)
	}
	c.Leave()
	if err := c.Enter(); err != nil {
		t.Errorf("after one left: %v", err)
	}
}

// A1, T9, R9: what is wrong is refused for that, and then for its number, also
// from near.
func TestGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(Limits{Guesses: 5}, io.Discard)
		for _, peer := range []string{"203.0.113.7:80", "127.0.0.1:80"} {
			c := b.Client(from(peer))
			for _, kind := range []fault.Kind{fault.BadToken, fault.BadKey, fault.BadKey, fault.BadToken, fault.BadKey} {
				if err := b.Guessed(c, fault.New(kind, "wrong")); fault.KindOf(err) != kind {
					t.Fatal(err)
				}
			}
			err := b.Guessed(c, fault.New(fault.BadKey, "wrong"))
			if f := fault.Of(err); f.Kind != fault.TooMany || f.Setting != "max_guesses" || f.Wait != 12*time.Second {
				t.Errorf("%v, wait %s", err, f.Wait)
			}
			for _, kind := range []fault.Kind{fault.TokenExpired, fault.TokenNeeded, fault.Unavailable} {
				if err := b.Guessed(c, fault.New(kind, "other")); fault.KindOf(err) != kind {
					t.Errorf("%s: %v", kind, err)
				}
			}
		}
		if got := b.Metrics.Guessed.Value(); got != 12 {
			t.Errorf("%d counted", got)
		}
	})
}

// However many addresses come, the book is bounded. Those it has go on as before,
// and those that have been at rest make room.
func TestTheBookIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(Limits{Handshakes: 10}, io.Discard)
		b.mostEach = 10
		known := b.Client(from("203.0.113.7:80"))
		if err := known.Enter(); err != nil {
			t.Fatal(err)
		}
		var denied int
		for i := range 10_000 {
			if arrive(b, fmt.Sprintf("[2001:db8:%x:%x::1]", i/1000, i%1000), 1) != nil {
				denied++
			}
		}
		if n := b.len(); n > 10*shards || denied == 0 {
			t.Errorf("%d addresses are kept, %d were refused", n, denied)
		}
		time.Sleep(time.Minute)
		for i := range 10 * shards {
			if err := arrive(b, fmt.Sprintf("[2001:db8:ffff:%x::1]", i), 1); err != nil {
				t.Errorf("after a rest: %v", err)
			}
		}
		if b.Client(from("203.0.113.7:80")) != known {
			t.Error("an address with a session was forgotten")
		}
	})
}

func (b *Book) len() (n int) {
	for i := range b.shards {
		n += len(b.shards[i].clients)
	}
	return n
}

func TestNobodysBook(t *testing.T) {
	var b *Book
	c, err := b.Arrive(&http.Request{})
	c.Leave()
	if err := errors.Join(err, c.Enter(), b.Guessed(c, nil)); err != nil {
		t.Error(err)
	}
}

func TestArrivingDoesNotAlloc(t *testing.T) {
	b, r := newBook(Limits{Handshakes: 1e6, AllHandshakes: 1e6}, io.Discard), from("203.0.113.7:80")
	if n := testing.AllocsPerRun(100, func() {
		c, err := b.Arrive(r)
		if err != nil {
			t.Fatal(err)
		}
		c.Leave()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkArrive(b *testing.B) {
	book, r := newBook(Limits{Handshakes: 1e9, AllHandshakes: 1e9}, io.Discard), from("203.0.113.7:80")
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := book.Arrive(r); err != nil {
				b.Fatal(err)
			}
		}
	})
}

package descriptors

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Half of the reserve is for refusals, half for the process; however small the
// limit is, most of it is for clients.
func TestTheReserve(t *testing.T) {
	for most, from := range map[int][3]int{ // where enough, little and none begin
		1 << 20: {1<<20 - 128, 1<<20 - 64, 1<<20 - 32},
		1024:    {896, 960, 992},
		400:     {300, 350, 375},
		64:      {32, 48, 56},
		32:      {16, 24, 28},
	} {
		for i, r := range []room{enough, little, none} {
			if at, before := roomAt(from[i], most), roomAt(from[i]-1, most); at != r || before != r-1 {
				t.Errorf("limit %d: %d at %d, %d before", most, at, from[i], before)
			}
		}
	}
}

// fake is a listener whose results a test gives.
type fake struct {
	results chan any // a net.Conn or an error
	once    sync.Once
	closed  chan struct{}
}

func newFake() *fake { return &fake{results: make(chan any), closed: make(chan struct{})} }

func (f *fake) Accept() (net.Conn, error) {
	select {
	case r := <-f.results:
		if err, ok := r.(error); ok {
			return nil, err
		}
		return r.(net.Conn), nil
	case <-f.closed:
		return nil, net.ErrClosed
	}
}

func (f *fake) Addr() net.Addr { return &net.TCPAddr{} }
func (f *fake) Close() error {
	f.once.Do(func() { close(f.closed) })
	return nil
}

// A connection that there was no descriptor for takes the place of a spare and
// goes to Overflow, as long as there are spares; then Accept waits for one.
func TestSparesAreGivenUp(t *testing.T) {
	for _, code := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE} {
		synctest.Test(t, func(t *testing.T) {
			var log strings.Builder
			below := newFake()
			l := Listen(below, slog.New(slog.NewTextHandler(&log, nil)))
			var accepting sync.WaitGroup
			accepting.Go(func() {
				if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("Accept: %v", err)
				}
			})
			failure := fmt.Errorf("accept: %w", code)
			for i := range 3 * spareCount {
				began := time.Now()
				below.results <- failure
				if i > 0 && i%spareCount == 0 { // none was left: it has waited, and got new ones
					below.results <- failure
					if waited := time.Since(began); waited != retryEvery {
						t.Errorf("waited %s without a spare", waited)
					}
				}
				here, there := net.Pipe()
				below.results <- here
				c, err := l.Overflow().Accept()
				if err != nil || c != here {
					t.Fatalf("connection %d: %v, %v", i, c, err)
				}
				c.Close()
				there.Close()
			}
			l.Close()
			if _, err := l.Overflow().Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Overflow: %v", err)
			}
			accepting.Wait()
			l.Refill()
			if len(l.spares) != 0 {
				t.Errorf("%d spares after the end", len(l.spares))
			}
			if n := strings.Count(log.String(), "are used up"); n != 1 || l.Refused.Value() != 3*spareCount {
				t.Errorf("%d refused, the log says\n%s", l.Refused.Value(), &log)
			}
		})
	}
}

// accepted gives a listener a connection and tells where it went.
func accepted(t *testing.T, l *Listener, below *fake, to <-chan net.Conn) (overflowed bool) {
	t.Helper()
	here, there := net.Pipe()
	t.Cleanup(func() { here.Close(); there.Close() })
	go func() { below.results <- here }()
	select {
	case <-to:
		return false
	case <-l.overflow.conns:
		return true
	}
}

// accept passes on what a listener accepts, until it is closed.
func accept(t *testing.T, l *Listener) <-chan net.Conn {
	to := make(chan net.Conn)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			to <- c
		}
	}()
	t.Cleanup(func() { l.Close() })
	return to
}

// A client does not get the place of a spare, even though its number is low:
// there is no other one free.
func TestThePlaceOfASpare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := newFake()
		l := Listen(below, slog.New(slog.DiscardHandler))
		to := accept(t, l)
		if accepted(t, l, below, to) {
			t.Error("refused though there is room")
		}
		l.open = func(string) (*os.File, error) { return nil, syscall.EMFILE }
		l.giveUp()
		if !accepted(t, l, below, to) {
			t.Error("the place of a spare went to a client")
		}
		l.open = os.Open
		if accepted(t, l, below, to) || len(l.spares) != spareCount {
			t.Errorf("refused though there is room, or spares are missing: %d", len(l.spares))
		}
	})
}

// The end of a shortage is told when few descriptors are in use, not when a
// single low one is free; they are counted once a second at most.
func TestTheEndOfAShortage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		below := newFake()
		l := Listen(below, slog.New(slog.NewTextHandler(&log, nil)))
		l.limit = func() int { return 1024 }
		inUse, counts := 1000, 0
		l.count = func() (int, error) { counts++; return inUse, nil }
		to := accept(t, l)
		l.short = true
		for range 10 {
			accepted(t, l, below, to)
		}
		if log.Len() != 0 || counts != 1 {
			t.Errorf("counted %d times; the log says %s", counts, &log)
		}
		inUse = 100
		time.Sleep(countEvery)
		accepted(t, l, below, to)
		accepted(t, l, below, to) // the one before has been looked at
		if n := strings.Count(log.String(), "there are file descriptors again"); n != 1 {
			t.Errorf("told %d times", n)
		}
	})
}

// What is open is counted.
func TestOpenDescriptorsAreCounted(t *testing.T) {
	before, err := count()
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	if after, err := count(); err != nil || after < before+5 {
		t.Errorf("%d with five more than %d: %v", after, before, err)
	}
}

// Nothing keeps Accept from its end, also not a connection that nobody takes.
func TestTheEndOfAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := newFake()
		l := Listen(below, slog.New(slog.DiscardHandler))
		l.limit = func() int { return 0 }
		var accepting sync.WaitGroup
		accepting.Go(func() { _, _ = l.Accept() })
		below.results <- syscall.EMFILE
		here, there := net.Pipe()
		below.results <- here
		synctest.Wait()
		l.Close()
		accepting.Wait()
		if _, err := there.Read(make([]byte, 1)); err == nil {
			t.Error("the connection is left open")
		}
	})
}

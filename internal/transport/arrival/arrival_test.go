package arrival

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"magpie/internal/wheel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

func listen(t *testing.T, within time.Duration) *Listener {
	t.Helper()
	return listenTo(t, within, nil)
}

func listenTo(t *testing.T, within time.Duration, proxies func(net.Addr) bool) *Listener {
	t.Helper()
	below, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w, stopped := wheel.New(10*time.Millisecond), make(chan struct{})
	go func() { defer close(stopped); w.Run(ctx) }()
	l, err := Listen(below, Config{Wheel: w, Within: within, MaxHead: 2000, Proxies: proxies, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		cancel()
		<-stopped
	})
	return l
}

func dial(t *testing.T, l *Listener) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn)
}

func accept(t *testing.T, l *Listener) net.Conn {
	t.Helper()
	timeout := time.AfterFunc(patience, func() { l.Close() })
	defer timeout.Stop()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

const head = "GET /a HTTP/1.1\r\nHost: b\r\n\r\n"

// What is begun is kept, what is whole or will be no head is passed on, with
// every octet that came, in whatever pieces it came.
func TestWhatIsPassedOn(t *testing.T) {
	for name, x := range map[string]struct {
		text string
		at   int // so many octets of it are enough
	}{
		"a head":                   {head, len(head)},
		"a head and a body":        {head + "body", len(head)},
		"lines without returns":    {"POST / HTTP/1.0\nA: b\n\n", 22},
		"TLS":                      {"\x16\x03\x01\x02\x00", 1},
		"an empty line":            {"\r\nGET", 1},
		"no version":               {"GET /\r\n", 7},
		"another version":          {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 16},
		"the signature of proxies": {"\r\n\r\n\x00\r\nQUIT\n", 1},
		"a head without end":       {"GET / HTTP/1.1\r\nA: " + strings.Repeat("a", 2500), 2000},
	} {
		t.Run(name, func(t *testing.T) {
			l := listen(t, time.Hour)
			c := dial(t, l)
			if x.at > 1 {
				if _, err := io.WriteString(c, x.text[:x.at-1]); err != nil {
					t.Fatal(err)
				}
				until(t, "it is kept", func() bool { return l.Len() == 1 })
			}
			select {
			case <-l.ready:
				t.Fatal("it was passed on before its time")
			default:
			}
			if _, err := io.WriteString(c, x.text[x.at-1:]); err != nil {
				t.Fatal(err)
			}
			served := accept(t, l)
			got := make([]byte, len(x.text))
			if _, err := io.ReadFull(served, got); err != nil || string(got) != x.text {
				t.Fatalf("%v, %q", err, got)
			}
			until(t, "it is kept all the same", func() bool { return l.Len() == 0 })
			if _, err := io.WriteString(served, "answer"); err != nil {
				t.Fatal(err)
			}
			c.CloseWrite()
			if n, err := served.Read(got); n != 0 || err != io.EOF {
				t.Fatalf("%d, %v behind it", n, err)
			}
		})
	}
}

// In pieces of an octet each.
func TestOctets(t *testing.T) {
	l := listen(t, time.Hour)
	c := dial(t, l)
	_ = c.SetNoDelay(true)
	go func() {
		for i := range head {
			_, _ = io.WriteString(c, head[i:i+1])
		}
	}()
	got := make([]byte, len(head))
	if _, err := io.ReadFull(accept(t, l), got); err != nil || string(got) != head {
		t.Fatalf("%v, %q", err, got)
	}
}

// H11, S1: who is too slow is cut off, and who goes is forgotten. Half a request
// is the server's to refuse.
func TestWhoDoesNotAsk(t *testing.T) {
	l := listen(t, 50*time.Millisecond)
	for _, text := range []string{"", head[:20]} {
		c := dial(t, l)
		io.WriteString(c, text)
		if _, err := io.ReadAll(c); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	until(t, "they are there still", func() bool { return l.Len() == 0 })
	l = listen(t, time.Hour)
	dial(t, l).Close()
	half := dial(t, l)
	io.WriteString(half, head[:20])
	half.CloseWrite()
	if got, err := io.ReadAll(accept(t, l)); err != nil || string(got) != head[:20] {
		t.Errorf("%v, %q", err, got)
	}
	until(t, "it is there still", func() bool { return l.Len() == 0 })
}

// H13, L9: connections that have not asked have no goroutine.
func TestMany(t *testing.T) {
	l := listen(t, time.Hour)
	before := runtime.NumGoroutine()
	for range 200 {
		io.WriteString(dial(t, l), head[:20])
	}
	until(t, "all are there", func() bool { return l.Len() == 200 })
	if now := runtime.NumGoroutine(); runtime.GOOS == "linux" && now > before+runtime.GOMAXPROCS(0) {
		t.Errorf("%d goroutines more", now-before)
	}
}

// Those that came before the listener below was closed are served until Close.
func TestClose(t *testing.T) {
	l := listen(t, time.Hour)
	c, idle := dial(t, l), dial(t, l)
	until(t, "both are there", func() bool { return l.Len() == 2 })
	if err := l.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, head)
	accept(t, l)
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := idle.Read(make([]byte, 1)); err == nil {
		t.Error("a connection is left open")
	}
}

// shaky is a listener that fails now and then.
type shaky struct {
	net.Listener
	failures int
}

func (s *shaky) Accept() (net.Conn, error) {
	if s.failures--; s.failures >= 0 {
		return nil, errors.New("failed")
	}
	return s.Listener.Accept()
}

func TestFailures(t *testing.T) {
	below, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen(&shaky{below, 2}, Config{Wheel: wheel.New(time.Second), Within: time.Hour, MaxHead: 100, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 2 {
		if _, err := l.Accept(); err == nil || err.Error() != "failed" {
			t.Errorf("%v", err)
		}
	}
	io.WriteString(dial(t, l), head)
	accept(t, l)
}

func FuzzUnfinished(f *testing.F) {
	for _, text := range []string{head, head[:10], "\r\n", "GET / HTTP/1.1\nA: b\n\n", "\x16\x03"} {
		f.Add(text, uint8(3))
	}
	// In pieces it is the same as at once.
	f.Fuzz(func(t *testing.T, text string, piece uint8) {
		if len(text) == 0 {
			return
		}
		step := int(piece)%7 + 1
		for seen := 0; seen < len(text); seen += step {
			b := []byte(text[:min(len(text), seen+step)])
			if got, want := unfinished(b, seen), unfinished(b, 0); got != want {
				t.Fatalf("%q after %d: %v, at once %v", b, seen, got, want)
			} else if !got {
				return
			}
		}
	})
}

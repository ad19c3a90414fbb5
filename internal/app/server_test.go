package app

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"magpie/internal/config"
	"magpie/internal/metrics"
)

// pipes is a listener of connections in memory.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// A connection that a proxy keeps for 75 s, as nginx does, is still served
// then. Otherwise its next request would meet the end of the connection. One
// that is kept for no reason is closed later.
func TestKeptConnectionsOutliveThoseOfProxies(t *testing.T) {
	cfg, err := config.Load(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(cfg, slog.New(slog.DiscardHandler), new(metrics.Counter))
	if err != nil {
		t.Fatal(err)
	}
	for _, stop := range []func(context.Context) error{a.transports.sockets.Close, a.transports.commands.Close, a.transports.streams.Close} {
		defer stop(t.Context())
	}
	synctest.Test(t, func(t *testing.T) {
		l := make(pipes)
		go a.server.Serve(l)
		defer close(l)
		c, served := net.Pipe()
		l <- served
		in := bufio.NewReader(c)
		for _, idle := range []time.Duration{0, 60 * time.Second, 76 * time.Second} {
			time.Sleep(idle)
			if _, err := io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
				t.Fatalf("after %s: %v", idle, err)
			}
			res, err := http.ReadResponse(in, nil)
			if err != nil || res.StatusCode != http.StatusOK || res.Close {
				t.Fatalf("after %s: %v, %v", idle, err, res)
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Minute)
		if _, err := io.WriteString(c, "G"); err == nil {
			t.Error("it is kept for ever")
		}
	})
}

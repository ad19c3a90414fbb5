package ws

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"magpie/internal/fault"
	"magpie/internal/wheel"
)

// An independent client talks to the server over both read paths.
func TestIndependentClient(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		closed := make(chan CloseInfo, 1)
		e := listen(t, Config{forcePortable: portable}, newEcho(closed))
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		c, _, err := websocket.Dial(ctx, "ws://"+e.addr, &websocket.DialOptions{Subprotocols: []string{"none", "two"}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		c.SetReadLimit(1 << 20)
		if c.Subprotocol() != "two" {
			t.Errorf("subprotocol %q, want two", c.Subprotocol())
		}
		for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536} {
			want := bytes.Repeat([]byte("m"), n)
			if err := c.Write(ctx, websocket.MessageText, want); err != nil {
				t.Fatal(err)
			}
			_, got, err := c.Read(ctx)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d octets: came back %d, %v", n, len(got), err)
			}
		}
		if err := c.Close(4321, "bye"); err != nil {
			t.Errorf("close: %v", err)
		}
		if info := <-closed; info.Code != 4321 || info.Text != "bye" || info.Reason != fault.ReasonClient {
			t.Errorf("closed with %+v", info)
		}
	})
}

// Over TLS: messages both ways, liveness, and a close frame that arrives.
func TestOverTLS(t *testing.T) {
	w := wheel.New(10 * time.Millisecond)
	go w.Run(t.Context())
	s, err := New(Config{Wheel: w, PingEvery: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan *Conn, 1)
	closed := make(chan CloseInfo, 1)
	hs := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ready := make(chan *Conn, 1)
		c, err := s.Accept(w, r, nil, &echo{func() *Conn { return <-ready }, closed})
		if err != nil {
			t.Error(err)
			return
		}
		ready <- c
		conns <- c
		c.Start()
	}))
	defer hs.Close()

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	pinged := make(chan struct{}, 100)
	peer, _, err := websocket.Dial(ctx, strings.Replace(hs.URL, "https", "wss", 1), &websocket.DialOptions{
		HTTPClient:     hs.Client(),
		OnPingReceived: func(context.Context, []byte) bool { pinged <- struct{}{}; return true },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer peer.CloseNow()
	peer.SetReadLimit(1 << 20)
	want := bytes.Repeat([]byte("m"), 60000)
	if err := peer.Write(ctx, websocket.MessageBinary, want); err != nil {
		t.Fatal(err)
	}
	if _, b, err := peer.Read(ctx); err != nil || !bytes.Equal(b, want) {
		t.Fatalf("%d octets came back, %v", len(b), err)
	}
	go func() { <-pinged; <-pinged; (<-conns).CloseWith(4000, "restart") }()
	if _, _, err := peer.Read(ctx); websocket.CloseStatus(err) != 4000 {
		t.Errorf("the client saw %v, want 4000", err)
	}
	if info := <-closed; info.Code != 4000 || info.Err != nil {
		t.Errorf("closed with %+v", info)
	}
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
}

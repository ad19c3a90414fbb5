package ws

import (
	"bytes"
	"context"
	"testing"

	"github.com/coder/websocket"
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
		if info := <-closed; info.Code != 4321 || info.Reason != "bye" || info.Cause != CauseClient {
			t.Errorf("closed with %+v", info)
		}
	})
}

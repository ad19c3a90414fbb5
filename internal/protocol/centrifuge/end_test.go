package centrifuge_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"magpie/internal/engine"
)

// D15: commands of whole frames that came before a client's end are carried
// out, also when it closes without reading what it was sent.
func TestCommandsBeforeAnEndAreCarriedOut(t *testing.T) {
	e := listen(t)
	const clients, frames = 20, 40
	for i := range clients {
		conn, err := net.Dial("tcp", strings.TrimPrefix(e.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, "GET /connection/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
		if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != 101 {
			t.Fatal(resp, err)
		}
		say := func(b []byte, command string) []byte {
			return append(b, ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewTextFrame([]byte(command))))...)
		}
		b := say(nil, `{"id":1,"connect":{}}`)
		b = say(b, fmt.Sprintf(`{"id":2,"subscribe":{"channel":"c%d"}}`, i))
		for part := range 4 {
			for k := range frames / 4 {
				b = say(b, fmt.Sprintf(`{"id":%d,"publish":{"channel":"c%d","data":{}}}`, 3+10*part+k, i))
			}
			if _, err := conn.Write(b); err != nil {
				t.Fatal(err)
			}
			b = nil
		}
		conn.Close() // what came back is unread: the kernel resets the connection
	}
	for i := range clients {
		name, got := fmt.Sprintf("c%d", i), 0
		eventually(t, fmt.Sprintf("%d publications in %s", frames, name), func() bool {
			page, err := e.Memory.History(context.Background(), name, engine.Query{Limit: engine.All})
			if err != nil {
				t.Fatal(err)
			}
			got = len(page.Messages)
			return got == frames
		})
	}
}

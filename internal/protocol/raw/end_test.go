package raw

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"magpie/internal/engine"
)

// D15: all whole frames that came before a client's end are published, also
// when it closes without reading what it was sent: its kernel answers our next
// write with a reset, while its last frames still wait to be read here.
func TestFramesBeforeAnEndArePublished(t *testing.T) {
	e := listen(t)
	const clients, frames = 20, 40
	for i := range clients {
		conn, err := net.Dial("tcp", strings.TrimPrefix(e.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET /websocket?channel=c%d HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", i)
		if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != 101 {
			t.Fatal(resp, err)
		}
		// A few segments only: what a kernel has not sent yet when it resets is lost
		// on the client's side.
		for part := range 4 {
			var b []byte
			for k := range frames / 4 {
				b = append(b, ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewTextFrame([]byte(fmt.Sprint(part, k)))))...)
			}
			if _, err := conn.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		conn.Close() // what was echoed is unread: the kernel resets the connection
	}
	for i := range clients {
		name, got := fmt.Sprintf("c%d", i), 0
		for end := time.Now().Add(deadline); got < frames && time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
			page, err := e.Memory.History(context.Background(), name, engine.Query{Limit: engine.All})
			if err != nil {
				t.Fatal(err)
			}
			got = len(page.Messages)
		}
		if got != frames {
			t.Fatalf("%s: %d of %d frames were published", name, got, frames)
		}
	}
}

// takenOver is an answer whose connection breaks as soon as it is taken over.
type takenOver struct{ *httptest.ResponseRecorder }

func (takenOver) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	server, client := net.Pipe()
	client.Close()
	return server, bufio.NewReadWriter(bufio.NewReader(server), bufio.NewWriter(server)), nil
}

// A client that goes while it is answered is nothing that the log or anybody
// should hear of.
func TestAClientThatGoesDuringItsHandshake(t *testing.T) {
	e := listen(t)
	r := httptest.NewRequest("GET", "/websocket", nil)
	for name, value := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
		r.Header.Set(name, value)
	}
	w := takenOver{httptest.NewRecorder()}
	if err := e.door.Routes()[0].Serve(w, r); err != nil {
		t.Errorf("refused with %v", err)
	}
	for range e.Node.Each {
		t.Error("a session is left")
	}
}

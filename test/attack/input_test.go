package attack

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"magpie/test/kit"
)

// nasty are texts that JSON parsers have fallen over.
func nasty() map[string]string {
	deep := 25_000
	return map[string]string{
		"nothing": "", "half": "{", "word": "nul", "two values": "{}{}", "BOM": "\ufeff{}", "UTF-16": "\xff\xfe{\x00}\x00", "NUL": "\x00",
		"single quotes": "{'id':1}", "NaN": `{"id":NaN}`, "deep lists": strings.Repeat("[", deep), "deep objects": strings.Repeat(`{"a":`, deep/2),
		"deep and closed": `{"id":1,"connect":{"data":` + strings.Repeat("[", deep) + strings.Repeat("]", deep) + `}}`,
		"huge number":     `{"id":1e400,"connect":{}}`, "many digits": `{"id":` + strings.Repeat("9", 30_000) + `}`, "negative": `{"id":-1,"connect":{}}`,
		"past 64 bits": `{"id":18446744073709551617,"connect":{}}`, "a list": `[]`, "a string": `"x"`, "lone surrogate": `{"id":1,"connect":{"name":"\ud800"}}`,
		"bad escape": `{"id":1,"connect":{"name":"\x"}}`, "bad UTF-8": "{\"id\":1,\"connect\":{\"name\":\"\xff\"}}", "many keys": `{` + strings.Repeat(`"a":1,`, 8000) + `"id":1}`,
	}
}

// J1, J2, J4, J5: broken, deep and huge JSON is refused at once, at every door
// that takes JSON, and leaves the server as it was.
func TestNastyJSON(t *testing.T) {
	t.Parallel()
	n := kit.Start(t)
	witness := n.Dial("")
	began := time.Now()
	for name, text := range nasty() {
		for _, path := range []string{"/api/publish", "/api/batch", "/api", "/guest", "/emulation"} {
			if status, body := n.Post(path, text, "Content-Type: application/json"); status == 0 || status >= 500 || strings.Contains(body, "goroutine") {
				t.Errorf("%s to %s: %d %.100s", name, path, status, body)
			}
		}
		res := ask(n, "POST", "/connection/http_stream", text)
		if res.StatusCode != 200 { // it says why in the stream
			t.Errorf("%s as a stream: %d", name, res.StatusCode)
		}
		if text == "" || !strings.HasPrefix(text, "{\"id\":1,\"connect\"") {
			endsSession(t, n, name, websocket.MessageText, []byte(text))
		}
	}
	for name, frame := range map[string][]byte{
		"no length": {0x80}, "length of 2^63": binary.AppendUvarint(nil, 1<<63), "longer than it is": {0x05, 0x08}, "length 0": {0},
		"deep groups": append(binary.AppendUvarint(nil, 60_000), []byte(strings.Repeat("\x0b", 60_000))...),
		"long field":  {0x07, 0x22, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
	} {
		endsSession(t, n, name, websocket.MessageBinary, frame)
	}
	if took := time.Since(began); took > 3*kit.Patience {
		t.Errorf("took %s", took)
	}
	n.Publish("chat", "fence")
	witness.WaitFor("fence")
	if got := witness.All(); len(got) != 1 {
		t.Errorf("something got in: %q", got)
	}
}

// endsSession sends one frame on a new connection and expects its end.
func endsSession(t *testing.T, n *kit.Node, name string, kind websocket.MessageType, frame []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), kit.Patience)
	defer cancel()
	var o websocket.DialOptions
	if kind == websocket.MessageBinary {
		o.Subprotocols = []string{"centrifuge-protobuf"}
	}
	c, _, err := websocket.Dial(ctx, "ws://"+n.Addr+"/connection/websocket", &o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	_ = c.Write(ctx, kind, frame)
	if _, answer, err := c.Read(ctx); websocket.CloseStatus(err) == -1 {
		t.Errorf("%s: answered %.80q, %v", name, answer, err)
	}
}

// A drain that begins while clients of all doors come in as fast as they can
// ends in time and cleanly, and no client is left without a word.
func TestDrainUnderArrivals(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, "--drain-timeout", "8s")
	ctx, cancel := context.WithTimeout(context.Background(), kit.Patience)
	defer cancel()
	var all sync.WaitGroup
	var came, silent atomic.Int64
	for i := range 8 {
		all.Go(func() {
			for ctx.Err() == nil {
				path := "/websocket?channel=" + fmt.Sprint("c", i)
				if i%2 == 1 {
					path = "/connection/websocket"
				}
				c, _, err := websocket.Dial(ctx, "ws://"+n.Addr+path, nil)
				if err != nil {
					select {
					case <-n.Gone():
						return
					case <-time.After(time.Millisecond):
						continue
					}
				}
				if came.Add(1); i%2 == 1 {
					_ = c.Write(ctx, websocket.MessageText, []byte(`{"id":1,"connect":{}}`+"\n"+`{"id":2,"subscribe":{"channel":"c"}}`))
				}
				for life := 0; life < 3+i; life++ {
					if _, _, err = c.Read(ctx); err != nil {
						break
					}
				}
				if websocket.CloseStatus(err) == -1 && err != nil {
					silent.Add(1)
				}
				c.CloseNow()
			}
		})
	}
	all.Go(func() {
		for ctx.Err() == nil {
			select {
			case <-n.Gone():
				return
			default:
			}
			for i := range 8 {
				n.Post(fmt.Sprint("/publish/c", i), "x")
			}
			n.Post("/publish/c", "1")
		}
	})
	kit.Eventually(t, "many came", func() bool { return came.Load() > 60 })
	began := time.Now()
	n.Signal(syscall.SIGTERM)
	err := n.Wait()
	cancel()
	all.Wait()
	if took := time.Since(began); took > kit.Patience {
		t.Errorf("the drain took %s", took)
	}
	if err != nil {
		t.Errorf("exit: %v\n%s", err, n.Output())
	}
	if k := silent.Load(); k > 0 {
		t.Errorf("%d of %d clients heard no close code", k, came.Load())
	}
}

// What a client sends in one piece with its handshake, or with the end of it,
// is read whole, however much it is.
func TestFramesBehindTheHandshake(t *testing.T) {
	t.Parallel()
	n := kit.Start(t)
	witness := n.Dial("channel=a")
	const frames = 200
	text := n.Handshake("/websocket?channel=a", "X-Long: "+strings.Repeat("x", 5000))
	for i := range frames {
		message := fmt.Sprintf("%100d", i)
		text += string([]byte{0x81, 0x80 | byte(len(message)), 0, 0, 0, 0}) + message
	}
	for i, cut := range []int{0, 100, 5000} {
		c := n.Connect()
		io.WriteString(c, text[:cut])
		if cut > 0 {
			kit.Eventually(t, "the beginning is there", func() bool { return measure(t, n, "magpie_connections_waiting") == 1 })
		}
		io.WriteString(c, text[cut:])
		if got := witness.Wait(frames * (i + 1)); len(got) != frames*(i+1) || strings.TrimSpace(got[len(got)-1]) != fmt.Sprint(frames-1) {
			t.Fatalf("cut at %d: %d frames, the last is %s", cut, len(got), got[len(got)-1])
		}
		c.Close()
	}
}

package attack

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"io"
	"net/http"
	"strings"
	"testing"

	"magpie/test/kit"
)

// deflated is a client's frame, with a mask of zeros, whose payload is deflated.
func deflated(t *testing.T, payload []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(payload); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return rawDeflated(bytes.TrimSuffix(b.Bytes(), []byte("\x00\x00\xff\xff")))
}

func rawDeflated(b []byte) []byte {
	head := binary.BigEndian.AppendUint64([]byte{0xc1, 0x80 | 127}, uint64(len(b)))
	if len(b) < 126 {
		head = []byte{0xc1, 0x80 | byte(len(b))}
	} else if len(b) < 1<<16 {
		head = binary.BigEndian.AppendUint16([]byte{0xc1, 0x80 | 126}, uint16(len(b)))
	}
	return append(append(head, 0, 0, 0, 0), b...)
}

// closeCode opens a connection with permessage-deflate, sends octets and returns the
// code that it is closed with.
func closeCode(t *testing.T, n *kit.Node, path string, send []byte) int {
	t.Helper()
	c := n.Connect()
	defer c.Close()
	r := bufio.NewReader(c)
	if _, err := io.WriteString(c, n.Handshake(path, "Sec-WebSocket-Extensions: permessage-deflate")); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.Header.Get("Sec-WebSocket-Extensions") == "" {
		t.Fatalf("%v, %v", res, err)
	}
	go c.Write(send) // the server may stop reading before the end
	for {
		if first, payload := readFrame(t, r); first&15 == 8 {
			return int(binary.BigEndian.Uint16(payload))
		}
	}
}

// readFrame reads a server's frame of less than 64 KB, and returns its first octet
// and its payload.
func readFrame(t *testing.T, r io.Reader) (first byte, payload []byte) {
	t.Helper()
	read := func(n int) []byte {
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			t.Fatalf("no frame: %v", err)
		}
		return b
	}
	head := read(2)
	n := int(head[1])
	if n == 126 {
		n = int(binary.BigEndian.Uint16(read(2)))
	}
	return head[0], read(n)
}

// Z1, Z2, Z3: bombs, before connect too, and what cannot be inflated end their
// connection at the limit of messages; memory stays, neighbours go on.
func TestDeflateBombs(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, "--compression", "--max-requests", "100")
	neighbour := n.Dial("channel=chat")
	zeros := make([]byte, 64<<20)
	bomb := deflated(t, zeros)
	before := resident(t, n)
	for range 20 {
		for _, path := range []string{"/websocket?channel=b", "/connection/websocket"} {
			if code := closeCode(t, n, path, bomb); code != 1009 {
				t.Fatalf("%s: a bomb is closed with %d", path, code)
			}
		}
	}
	if grown := resident(t, n) - before; grown > 40<<20 {
		t.Errorf("%d MB more", grown>>20)
	}
	for name, b := range map[string][]byte{
		"no block":                rawDeflated([]byte("\xff\xff\xff\xff")),
		"a block that breaks off": rawDeflated([]byte("\xf2\x48\xcd")),
		"a length that lies":      rawDeflated([]byte("\x00\x05\x00\xfa\xfeHello\x00")),
		"behind a last block":     rawDeflated([]byte("\xf3\x48\xcd\xc9\xc9\x07\x00\x00\x00")),
	} {
		if code := closeCode(t, n, "/websocket?channel=b", b); code != 1007 {
			t.Errorf("%s: closed with %d", name, code)
		}
	}
	// Just below the limit, again and again: they count by what they were.
	below := deflated(t, []byte(strings.Repeat("x", 60<<10)))
	if code := closeCode(t, n, "/websocket?channel=c", bytes.Repeat(below, 1000)); code != 4006 {
		t.Errorf("a thousand below the limit: closed with %d", code)
	}
	n.Publish("chat", "still here")
	neighbour.WaitFor("still here")
}

// Z6: only what is published is compressed, each message for itself; an answer,
// which may hold a client's secrets, is not.
func TestAnswersAreNotDeflated(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, "--compression")
	c := n.Connect()
	defer c.Close()
	r := bufio.NewReader(c)
	if _, err := io.WriteString(c, n.Handshake("/connection/websocket", "Sec-WebSocket-Extensions: permessage-deflate")); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(r, nil)
	if err != nil || !strings.Contains(res.Header.Get("Sec-WebSocket-Extensions"), "server_no_context_takeover") {
		t.Fatalf("%v, %v", res, err)
	}
	name := strings.Repeat("long", 60)
	send := func(text string) {
		if _, err := c.Write(append(binary.BigEndian.AppendUint16([]byte{0x81, 0x80 | 126}, uint16(len(text))), append(make([]byte, 4), text...)...)); err != nil {
			t.Fatal(err)
		}
	}
	// The answer tells the channel's history: as long as a push, and compressible.
	n.Publish(name, strings.Repeat("again ", 100))
	send(`{"id":1,"connect":{"name":"` + strings.Repeat("x", 200) + `"}}`)
	send(`{"id":2,"subscribe":{"channel":"` + name + `","recover":true}}` + strings.Repeat(" ", 100))
	send(`{"id":3,"history":{"channel":"` + name + `","limit":10}}` + strings.Repeat(" ", 100))
	pushed := false
	for range 4 {
		first, payload := readFrame(t, r)
		if first&0x40 != 0 {
			pushed = true
		} else if !bytes.Contains(payload, []byte(`"id":`)) && len(payload) > 300 {
			t.Errorf("a long push goes as it is: %s", payload)
		}
		if bytes.Contains(payload, []byte(`{"id":3`)) {
			n.Publish(name, strings.Repeat("again ", 100))
		}
	}
	if !pushed {
		t.Error("no push came deflated")
	}
}

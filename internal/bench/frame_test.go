package bench

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"time"
)

// serverFrame is a frame as a server sends it: no mask.
func serverFrame(op byte, payload []byte) []byte {
	out := []byte{0x80 | op}
	switch n := len(payload); {
	case n < 126:
		out = append(out, byte(n))
	case n < 1<<16:
		out = binary.BigEndian.AppendUint16(append(out, 126), uint16(n))
	default:
		out = binary.BigEndian.AppendUint64(append(out, 127), uint64(n))
	}
	return append(out, payload...)
}

func TestFramesOfEveryLengthAreReadWhole(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536, 70000} {
		frame := serverFrame(opText, bytes.Repeat([]byte("x"), n))
		for _, cut := range []int{0, 1, 2, 3, 9, len(frame) - 1} {
			if cut < len(frame) {
				if _, _, size, err := readFrame(frame[:cut]); size != 0 || err != nil {
					t.Errorf("%d of %d bytes are a frame: %d %v", cut, len(frame), size, err)
				}
			}
		}
		op, payload, size, err := readFrame(append(frame, 0x81))
		if op != opText || len(payload) != n || size != len(frame) || err != nil {
			t.Errorf("%d bytes: op %d, %d bytes, size %d, %v", n, op, len(payload), size, err)
		}
	}
}

// RFC 6455 5.1, 5.2: a server does not mask, and uses no bits that nobody
// agreed on. A length that no message of ours has is not waited for.
func TestFramesThatAServerMayNotSendAreRefused(t *testing.T) {
	for _, bad := range [][]byte{
		{0xc1, 0}, {0x81, 0x80, 0, 0, 0, 0}, {0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 0}, {0x82, 127, 0, 0, 0, 0, 0x7f, 0, 0, 0},
	} {
		if _, _, _, err := readFrame(bad); err == nil {
			t.Errorf("%x was taken", bad)
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(serverFrame(opText, []byte("hello")))
	f.Add([]byte{0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		_, payload, size, err := readFrame(data)
		if size > len(data) || len(payload) > size || err != nil && size != 0 {
			t.Fatalf("%d bytes of %d: %v", size, len(data), err)
		}
	})
}

// testClient is a client whose server is the test; write gets what it says.
func testClient(t testing.TB, target Target, write writer) *client {
	target.URL = "http://localhost:1"
	l, err := NewLoad(t.Context(), Plan{Connections: 1, Size: 128, Rate: 1, Target: target})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	c := l.newHandler(0).(*client)
	c.conn = write
	return c
}

type writer func([]byte)

func (w writer) write(b []byte) error { w(b); return nil }

func ignore([]byte) {}

// conversation is what a server of each door says to one receiver: into the
// channel, messages 1, 3, 2, 2, a ping, and a refusal; by the Centrifuge door
// also message 4 with a ping in one frame.
func conversation(door string) []byte {
	var out []byte
	m := func(n uint32) []byte { return appendPayload(nil, stamp{0, n, time.Nanosecond}, 128) }
	switch door {
	case "raw":
		out = append(out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"...)
		for _, n := range []uint32{1, 3, 2, 2} {
			out = append(out, serverFrame(opText, m(n))...)
		}
		out = append(out, serverFrame(opPing, []byte("still there?"))...)
		return append(out, serverFrame(opText, []byte(`{"error":{"message":"no"}}`))...)
	case "centrifuge":
		out = append(out, "HTTP/1.1 101 Switching Protocols\r\n\r\n"...)
		out = append(out, serverFrame(opText, []byte(`{"id":1,"connect":{"client":"a"}}`+"\n"+`{"id":2,"subscribe":{}}`))...)
		two := fmt.Appendf(nil, `{"push":{"pub":{"data":%s}}}`+"\n"+`{"push":{"pub":{"data":%s}}}`, m(1), m(3))
		out = append(out, serverFrame(opText, two)...)
		two = fmt.Appendf(nil, `{"push":{"pub":{"data":%s}}}`+"\n"+`{"push":{"pub":{"data":%s}}}`, m(2), m(2))
		out = append(out, serverFrame(opText, two)...)
		out = append(out, serverFrame(opText, fmt.Appendf(nil, `{"push":{"pub":{"data":%s}}}`+"\n{}", m(4)))...)
		out = append(out, serverFrame(opText, []byte("{}"))...)
		return append(out, serverFrame(opText, []byte(`{"id":9,"error":{"code":103}}`))...)
	}
	out = append(out, "HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\nretry: 1000\n\n: ping\n\n"...)
	for _, n := range []uint32{1, 3, 2, 2} {
		out = fmt.Appendf(out, "id: x\ndata: %s\n\n", m(n))
	}
	return out
}

// However a conversation is cut into pieces, it counts the same.
func TestAConversationCountsTheSameHoweverItIsCut(t *testing.T) {
	for _, door := range Doors {
		t.Run(door, func(t *testing.T) {
			said := conversation(door)
			for _, piece := range []int{1, 2, 3, 7, 50, 131, len(said)} {
				answers := 0
				c := testClient(t, Target{Door: door}, func(b []byte) {
					if b[0]&15 == opPong || bytes.HasSuffix(b, []byte("{}")) {
						answers++
					}
				})
				for at := 0; at < len(said); at += piece {
					if err := c.data(bytes.Clone(said[at:min(at+piece, len(said))])); err != nil {
						t.Fatal(err)
					}
				}
				want := Counts{Joined: 1, Received: 3, Reordered: 1, Repeated: 1, Refused: 1, Pings: 1}
				switch door {
				case "sse":
					want.Refused, want.Pings = 0, 0
				case "centrifuge":
					want.Received, want.Pings = 4, 2
				}
				if c.load.counts != want || answers != want.Pings {
					t.Errorf("in pieces of %d: %+v, %d answers; want %+v", piece, c.load.counts, answers, want)
				}
				if len(c.partial) != 0 {
					t.Errorf("%d bytes are left", len(c.partial))
				}
			}
		})
	}
}

func TestARefusalIsToldInTheServersWords(t *testing.T) {
	for door, said := range map[string]string{
		"raw":        "HTTP/1.1 403 Forbidden\r\n\r\n{\"error\":\"you may not\"}",
		"sse":        "HTTP/1.0 403 Forbidden\r\n\r\nyou may not",
		"centrifuge": "HTTP/1.1 101 Switching Protocols\r\n\r\n" + string(serverFrame(opText, []byte(`{"id":2,"error":{"message":"you may not"}}`))),
	} {
		err := testClient(t, Target{Door: door}, ignore).data([]byte(said))
		if err == nil || !bytes.Contains([]byte(err.Error()), []byte("you may not")) {
			t.Errorf("%s: %v", door, err)
		}
	}
	closed := append([]byte("HTTP/1.1 101 \r\n\r\n"), serverFrame(opClose, append([]byte{0x0f, 0xa1}, "too slow"...))...)
	if err := testClient(t, Target{Door: "raw"}, ignore).data(closed); err == nil || !bytes.Contains([]byte(err.Error()), []byte("4001 too slow")) {
		t.Errorf("%v", err)
	}
}

// Who measures what can be resumed must not measure what cannot.
func TestASubscriptionThatCannotBeResumedIsRefused(t *testing.T) {
	reply := func(more string) []byte {
		return append([]byte("HTTP/1.1 101 Switching Protocols\r\n\r\n"), serverFrame(opText, []byte(`{"id":1,"connect":{}}`+"\n"+`{"id":2,"subscribe":{`+more+`}}`))...)
	}
	for _, c := range []struct {
		asked bool
		reply string
		good  bool
	}{
		{false, ``, true}, {false, `"recoverable":true`, true}, {true, `"recoverable":true,"epoch":"e"`, true}, {true, `"epoch":"e"`, false},
	} {
		var said []byte
		client := testClient(t, Target{Door: "centrifuge", Recoverable: c.asked}, func(b []byte) { said = append(said, b...) })
		err := client.data(reply(c.reply))
		if joined := client.load.counts.Joined; (err == nil) != c.good || (joined == 1) != c.good {
			t.Errorf("asked %t, answered %q: %v, %d joined", c.asked, c.reply, err, joined)
		}
		if bytes.Contains(said, []byte(`"recoverable":true`)) != c.asked {
			t.Errorf("asked %t: %q", c.asked, said)
		}
	}
}

func FuzzFeed(f *testing.F) {
	for _, door := range Doors {
		f.Add(door, conversation(door), 3)
	}
	f.Fuzz(func(t *testing.T, door string, said []byte, piece int) {
		if piece < 1 || (door != "raw" && door != "sse" && door != "centrifuge") {
			return
		}
		c := testClient(t, Target{Door: door}, ignore)
		for at := 0; at < len(said); at += piece {
			if c.data(said[at:min(at+piece, len(said))]) != nil {
				return
			}
			if piece > len(said) {
				return
			}
		}
	})
}

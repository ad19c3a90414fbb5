// Package conformance holds the real server to RFC 6455 from outside, octet by
// octet, over a TCP connection of its own. A case is a conversation with the
// raw door, which sends back what it is sent; its verdict is strict: exactly
// these frames, in this order, then exactly this end.
//
// Cases carry the numbers of the Autobahn test suite where it has the same,
// and names where it has none. Each runs in several ways to cut its octets.
package conformance

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	_ "magpie/internal/app" // so that a cached result is not one of another binary
	"magpie/test/kit"
)

func TestMain(m *testing.M) { kit.Main(m) }

// turn is what the client sends, and all that the server answers before the
// client sends more.
type turn struct {
	send [][]byte
	want []frame
}

// conversation is one case. end is the status code of the server's close frame;
// stays means that the server has no reason to close, so the client does.
type conversation struct {
	id    string
	turns []turn
	end   int
}

const (
	stays  = -1
	noCode = 0 // a close frame without a payload
)

// say begins a turn: frames, or octets that are none.
func say(octets ...[]byte) turn { return turn{send: octets} }

// hear adds what the server answers.
func (t turn) hear(want ...frame) turn { t.want = append(t.want, want...); return t }

// echo adds the answer to a text, echoBinary that to a binary message.
func (t turn) echo(payload string) turn       { return t.hear(frame{opText, payload}) }
func (t turn) echoBinary(payload string) turn { return t.hear(frame{opBinary, payload}) }
func (t turn) pong(payload string) turn       { return t.hear(frame{opPong, payload}) }

// cuts are the ways in which the octets of a turn reach the server. A cut of
// so many octets is for cases up to a size, which bounds the number of packets.
var cuts = []struct {
	name     string
	octets   int // 0: a frame at a time
	from, to int // sizes of the cases that are cut so
}{
	{"whole", 1 << 30, 0, 1 << 30},
	{"by frame", 0, 0, 1 << 30},
	{"by octet", 1, 0, 1500},
	{"by 997 octets", 997, 1501, 1 << 20},
}

func (c conversation) size() (n int) {
	for _, t := range c.turns {
		for _, b := range t.send {
			n += len(b)
		}
	}
	return n
}

// cut are the packets of a turn.
func (t turn) cut(octets int) [][]byte {
	if octets == 0 {
		return t.send
	}
	return slices.Collect(slices.Chunk(bytes.Join(t.send, nil), octets))
}

// isCutTwice tells whether another cut gives the same packets: turns of one frame
// are the same whole and by frame, and so are packets of megabytes.
func (c conversation) isCutTwice(octets int) bool {
	if many := slices.ContainsFunc(c.turns, func(t turn) bool { return len(t.send) > 1 }); !many {
		return octets == 0
	}
	return octets > c.size() && c.size() > 1<<20
}

// settings are those of a node whose channels keep nothing, so that an echo is
// only an echo.
func settings(t *testing.T) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "magpie.yaml")
	if err := os.WriteFile(file, []byte("rules:\n  - match: \"*\"\n    log: off\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--config", file}
}

var connections atomic.Int64

// client is one connection to the raw door, each in a channel of its own.
type client struct {
	*net.TCPConn
	t testing.TB
	r *bufio.Reader
}

func open(t testing.TB, n *kit.Node) *client {
	t.Helper()
	nc, err := net.DialTimeout("tcp", n.Addr, kit.Patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	c := &client{nc.(*net.TCPConn), t, bufio.NewReader(nc)}
	_ = c.SetDeadline(time.Now().Add(kit.Patience))
	c.write([]byte(n.Handshake(fmt.Sprint("/websocket?channel=c", connections.Add(1)))))
	res, err := http.ReadResponse(c.r, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: %v, %v", res, err)
	}
	return c
}

func (c *client) write(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Fatalf("the server takes nothing more: %v", err)
	}
}

// send writes packets. A server that has closed meanwhile is judged by what it
// sent before.
func (c *client) send(packets [][]byte) {
	for _, b := range packets {
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

// run has the conversation and judges it.
func (c *client) run(talk conversation, octets int) {
	c.t.Helper()
	for i, turn := range talk.turns {
		sent := make(chan struct{})
		go func() { // while the answers are read: those of a large message are large
			defer close(sent)
			c.send(turn.cut(octets))
		}()
		c.expect(fmt.Sprintf("turn %d", i+1), turn.want)
		<-sent
	}
	end, closes := frame{op: opClose, payload: closing(uint16(talk.end))}, talk.end == stays
	switch talk.end {
	case stays:
		c.write(bye(1000, ""))
		end.payload = closing(1000)
	case noCode:
		end.payload = ""
	}
	got, err := readFrame(c.r)
	if err != nil || got.op != opClose || !bytes.HasPrefix([]byte(got.payload), []byte(end.payload)) || end.payload == "" && got.payload != "" {
		c.t.Fatalf("at the end came %v, %v; want %v", got, err, end)
	}
	if !closes {
		_, _ = c.Write(bye(1000, "")) // the close handshake
	}
	c.expectEnd()
}

// expect reads what should come now. Pongs may overtake messages, which pass
// through the channel (RFC 6455 section 5.5.3 asks for them "as soon as
// practical"); within their kind frames keep their order.
func (c *client) expect(when string, want []frame) {
	c.t.Helper()
	var got []frame
	for range want {
		f, err := readFrame(c.r)
		if err != nil {
			c.t.Fatalf("%s: %v came, then %v; want %v", when, got, err, want)
		}
		if got = append(got, f); f.op == opClose {
			break
		}
	}
	controls := func(f frame) bool { return f.op >= opClose }
	data := func(f frame) bool { return f.op < opClose }
	for _, kind := range []func(frame) bool{controls, data} {
		if a, b := filter(got, kind), filter(want, kind); !slices.Equal(a, b) {
			c.t.Fatalf("%s: %v came; want %v", when, got, want)
		}
	}
}

func filter(all []frame, keep func(frame) bool) []frame {
	return slices.DeleteFunc(slices.Clone(all), func(f frame) bool { return !keep(f) })
}

// expectEnd waits until the server closes the TCP connection, as it should do
// first (RFC 6455 section 7.1.1), and cleanly: a reset could have destroyed
// what was on its way.
func (c *client) expectEnd() {
	c.t.Helper()
	rest, err := io.ReadAll(c.r)
	if len(rest) > 0 {
		c.t.Fatalf("after the close frame came %x", rest[:min(len(rest), 40)])
	}
	if ne, ok := errors.AsType[net.Error](err); err != nil && (!ok || ne.Timeout()) {
		c.t.Fatalf("the server does not close the connection: %v", err)
	} else if err != nil {
		c.t.Fatalf("the server reset the connection: %v", err)
	}
}

// Every case of RFC 6455, in every cut.
func TestWire(t *testing.T) {
	t.Parallel()
	n := kit.Start(t, settings(t)...)
	judge(t, n, slices.Values(slices.Concat(framing(), pings(), reservedBits(), opcodes(), fragments(), utf8Cases(), closes(), lengths(65536))))
}

func judge(t *testing.T, n *kit.Node, cases iter.Seq[conversation]) {
	t.Helper()
	seen := map[string]bool{}
	for talk := range cases {
		if seen[talk.id] {
			t.Fatalf("two cases are called %s", talk.id)
		}
		seen[talk.id] = true
		t.Run(talk.id, func(t *testing.T) {
			for _, cut := range cuts {
				if size := talk.size(); size < cut.from || size > cut.to || talk.isCutTwice(cut.octets) {
					continue
				}
				t.Run(cut.name, func(t *testing.T) { open(t, n).run(talk, cut.octets) })
			}
		})
	}
	t.Logf("%d cases", len(seen))
	if status, _ := n.Get("/readyz"); status != http.StatusOK {
		t.Errorf("the node is not ready afterwards: %d", status)
	}
}

// header is the beginning of a frame with a length in a form of our choice.
func header(first byte, form byte, n uint64) []byte {
	switch form {
	case 126:
		return binary.BigEndian.AppendUint16([]byte{first, 0x80 | 126}, uint16(n))
	case 127:
		return binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, n)
	}
	return []byte{first, 0x80 | byte(n)}
}

package conformance

import (
	"bufio"
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"magpie/test/kit"
)

// deflating is a client with permessage-deflate, or without where the server
// declines it.
type deflating struct {
	net.Conn
	t       testing.TB
	r       *bufio.Reader
	agreed  string
	w       *flate.Writer
	out     bytes.Buffer
	short   int // messages that came deflated
	inflate io.ReadCloser
}

func openDeflating(t testing.TB, n *kit.Node, offer string) *deflating {
	t.Helper()
	nc, err := net.DialTimeout("tcp", n.Addr, kit.Patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(2 * kit.Patience))
	c := &deflating{Conn: nc, t: t, r: bufio.NewReader(nc), inflate: flate.NewReader(nil)}
	c.w, _ = flate.NewWriter(&c.out, flate.DefaultCompression)
	if _, err := io.WriteString(nc, n.Handshake(fmt.Sprint("/websocket?channel=c", connections.Add(1)), "Sec-WebSocket-Extensions: "+offer)); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(c.r, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: %v, %v", res, err)
	}
	c.agreed = res.Header.Get("Sec-WebSocket-Extensions")
	return c
}

const kb = 1 << 10

const syncTail = "\x00\x00\xff\xff"

// send sends a message in frames of so many octets.
func (c *deflating) send(op byte, message string, piece int) {
	if c.agreed != "" {
		c.out.Reset()
		c.w.Reset(&c.out) // no context is taken over
		_, _ = io.WriteString(c.w, message)
		_ = c.w.Flush()
		message = strings.TrimSuffix(c.out.String(), syncTail)
		op |= rsv1
	}
	for _, b := range pieces(op, message, piece) {
		if _, err := c.Write(b); err != nil {
			c.t.Fatal(err)
		}
	}
}

// receive reads a message that is deflated or not.
func (c *deflating) receive() frame {
	first, err := c.r.Peek(1)
	if err != nil {
		c.t.Fatal(err)
	}
	isShort := c.agreed != "" && first[0]&rsv1 != 0
	if isShort {
		first[0] &^= rsv1 // in the reader's buffer: for readFrame a frame like any other
	}
	f, err := readFrame(c.r)
	if err != nil {
		c.t.Fatal(err)
	}
	if isShort {
		c.short++
		_ = c.inflate.(flate.Resetter).Reset(strings.NewReader(f.payload+syncTail+"\x01\x00\x00\xff\xff"), nil)
		b, err := io.ReadAll(c.inflate)
		if err != nil {
			c.t.Fatalf("not to be inflated: %v", err)
		}
		f.payload = string(b)
	}
	return f
}

// corpora are texts of the kinds that Autobahn's group 12 has, made here.
func corpora() map[string]func(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("the of and to in that is was he for it with as his on be at by had not are but from or have an they which one you were her all she there would their")
	text := func(n int, next func(b *strings.Builder)) string {
		var b strings.Builder
		for b.Len() < n {
			next(&b)
		}
		return b.String()[:n]
	}
	return map[string]func(int) string{
		"1 JSON": func(n int) string {
			return text(n, func(b *strings.Builder) {
				fmt.Fprintf(b, `{"id":%d,"name":%q,"score":%.3f},`, r.IntN(1e6), words[r.IntN(len(words))], r.Float64())
			})
		},
		"2 picture": func(n int) string {
			return text(n, func(b *strings.Builder) { b.WriteByte(byte(0x80 | b.Len()/64%64 ^ r.IntN(3))) })
		},
		"3 prose": func(n int) string {
			return text(n, func(b *strings.Builder) { b.WriteString(words[r.IntN(len(words))] + " ") })
		},
		"4 page": func(n int) string {
			return text(n, func(b *strings.Builder) {
				fmt.Fprintf(b, "<li class=\"item\"><a href=\"/a/%d\">%s</a></li>\n", r.IntN(1e5), words[r.IntN(len(words))])
			})
		},
		"5 noise": func(n int) string {
			return text(n, func(b *strings.Builder) { b.WriteByte(byte(r.Uint32())) })
		},
	}
}

// sizes and fragments are those of the groups 12 and 13: 0 is one frame.
type deflateSize struct{ size, piece int }

var deflateSizes = []deflateSize{
	{16, 0}, {64, 0}, {256, 0}, {1 * kb, 0}, {4 * kb, 0}, {8 * kb, 0}, {16 * kb, 0}, {32 * kb, 0}, {64 * kb, 0}, {128 * kb, 0},
	{8 * kb, 256}, {16 * kb, 256}, {32 * kb, 256}, {64 * kb, 256}, {128 * kb, 256}, {128 * kb, 1024}, {128 * kb, 4096}, {128 * kb, 32768},
}

// times is how many messages a case has. Autobahn has a thousand: what it finds by
// that, a state that is kept from one to the next, shows in these.
const times = 2

func echoes(t *testing.T, c *deflating, text func(int) string, sizes ...deflateSize) {
	t.Helper()
	for _, x := range sizes {
		for range times {
			message := text(x.size)
			op := byte(opBinary)
			if utf8.ValidString(message) {
				op = opText
			}
			piece := x.piece
			if piece == 0 {
				piece = 2*x.size + kb
			}
			c.send(op, message, piece)
			if got := c.receive(); got != (frame{op, message}) {
				t.Fatalf("%d octets in frames of %d came back as %v", x.size, piece, got)
			}
		}
	}
}

func startDeflating(t *testing.T) *kit.Node {
	return kit.Start(t, append(settings(t), "--compression", "--max-payload", "256KB", "--max-requests", "100000")...)
}

// Group 12: messages of each kind and size, whole and in fragments, are what they
// were; those that can be shorter are.
func TestDeflatedMessages(t *testing.T) {
	t.Parallel()
	n := startDeflating(t)
	for name, text := range corpora() {
		t.Run("12."+name, func(t *testing.T) {
			c := openDeflating(t, n, "permessage-deflate; client_max_window_bits")
			if c.agreed == "" {
				t.Fatal("it was not agreed on")
			}
			echoes(t, c, text, deflateSizes...)
			// Under 256 octets, and noise, go as they are.
			want := times * (len(deflateSizes) - 2)
			if name == "5 noise" {
				want = 0
			}
			if c.short != want {
				t.Errorf("%d came deflated, want %d", c.short, want)
			}
		})
	}
}

// Group 13: whatever is offered, what is agreed on holds; small windows for the
// server are not, and then nothing is deflated.
func TestDeflateOffers(t *testing.T) {
	t.Parallel()
	n := startDeflating(t)
	prose := corpora()["3 prose"]
	for id, x := range map[string]struct {
		offer  string
		agreed bool
	}{
		"13.1": {"permessage-deflate; client_max_window_bits", true},
		"13.2": {"permessage-deflate; server_no_context_takeover; client_max_window_bits", true},
		"13.3": {"permessage-deflate; server_max_window_bits=9; client_max_window_bits", false},
		"13.4": {"permessage-deflate; server_max_window_bits=15; client_max_window_bits", true},
		"13.5": {"permessage-deflate; server_no_context_takeover; server_max_window_bits=9; client_max_window_bits", false},
		"13.6": {"permessage-deflate; server_no_context_takeover; server_max_window_bits=15; client_max_window_bits", true},
		"13.7": {"permessage-deflate; server_no_context_takeover; server_max_window_bits=9; client_max_window_bits, permessage-deflate; server_no_context_takeover; client_max_window_bits, permessage-deflate; client_max_window_bits", true},
	} {
		t.Run(id, func(t *testing.T) {
			c := openDeflating(t, n, x.offer)
			if (c.agreed != "") != x.agreed {
				t.Fatalf("agreed on %q", c.agreed)
			}
			echoes(t, c, prose, append(deflateSizes[:7:7], deflateSizes[10:12]...)...)
		})
	}
}

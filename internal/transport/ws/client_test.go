package ws

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// client is a WebSocket client that can do everything wrong.
type client struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

const goldenKey = "dGhlIHNhbXBsZSBub25jZQ==" // RFC 6455 section 1.3

// upgrade is a handshake that is right; lines replace or add header fields.
func upgrade(lines ...string) string {
	fields := []string{"Host: x", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + goldenKey}
	for _, line := range lines {
		name, _, _ := strings.Cut(line, ":")
		kept := fields[:0:0]
		for _, f := range fields {
			if !strings.HasPrefix(f, name+":") || strings.HasPrefix(line, "+") {
				kept = append(kept, f)
			}
		}
		fields = append(kept, strings.TrimPrefix(line, "+"))
	}
	return "GET / HTTP/1.1\r\n" + strings.Join(fields, "\r\n") + "\r\n\r\n"
}

func dialRaw(t testing.TB, addr string) *client {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	return &client{nc, t, bufio.NewReader(nc)}
}

// dial connects and shakes hands. ahead is sent in the same packet.
func dial(t testing.TB, addr string, ahead ...byte) *client {
	t.Helper()
	c := dialRaw(t, addr)
	c.send(append([]byte(upgrade()), ahead...))
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake answered %s", resp.Status)
	}
	return c
}

// send writes all of b; a server that has hung up is not the client's trouble.
func (c *client) send(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil && !strings.Contains(err.Error(), "reset") && !strings.Contains(err.Error(), "broken pipe") && !strings.Contains(err.Error(), "closed pipe") {
		c.t.Errorf("client write: %v", err)
	}
}

// got is a frame that the server sent.
type got struct {
	op      byte
	payload string
}

func (g got) String() string {
	if g.op == opClose && len(g.payload) >= 2 {
		return fmt.Sprintf("close %d %q", binary.BigEndian.Uint16([]byte(g.payload)), g.payload[2:])
	}
	if len(g.payload) > 40 {
		return fmt.Sprintf("op %d, %d octets", g.op, len(g.payload))
	}
	return fmt.Sprintf("op %d %q", g.op, g.payload)
}

// read takes one frame and holds the server to RFC 6455 section 5.1.
func (c *client) read() (got, error) {
	var h [2]byte
	if _, err := io.ReadFull(c.r, h[:]); err != nil {
		return got{}, err
	}
	if h[0]&bitFIN == 0 || h[0]&bitsRSV != 0 || h[1]&bitMask != 0 {
		return got{}, fmt.Errorf("bad frame header %x", h)
	}
	n := uint64(h[1])
	switch n {
	case 126:
		var b [2]byte
		if _, err := io.ReadFull(c.r, b[:]); err != nil {
			return got{}, err
		}
		n = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		if _, err := io.ReadFull(c.r, b[:]); err != nil {
			return got{}, err
		}
		n = binary.BigEndian.Uint64(b[:])
	}
	if n > 64<<20 {
		return got{}, fmt.Errorf("frame of %d octets", n)
	}
	payload := make([]byte, n)
	_, err := io.ReadFull(c.r, payload)
	return got{h[0] & bitsOp, string(payload)}, err
}

// all reads until the stream ends.
func (c *client) all() []got {
	c.t.Helper()
	var frames []got
	for {
		g, err := c.read()
		if err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				c.t.Errorf("server did not end the stream; so far %v", frames)
			}
			return frames
		}
		if frames = append(frames, g); g.op == opClose {
			_, _ = c.Conn.Write(bye(1000)) // as a peer has to; the server may have closed already
		}
	}
}

func (c *client) expect(op byte, payload string) {
	c.t.Helper()
	g, err := c.read()
	if err != nil || g != (got{op, payload}) {
		c.t.Fatalf("got %v, %v; want %v", g, err, got{op, payload})
	}
}

func closing(code uint16, reason string) got {
	return got{opClose, string(binary.BigEndian.AppendUint16(nil, code)) + reason}
}

var testMask = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// masked is one client frame; first is the header's first octet.
func masked(first byte, payload string) []byte { return maskedWith(testMask, first, payload) }

func maskedWith(mask [4]byte, first byte, payload string) []byte {
	b := []byte{first, 0}
	switch n := len(payload); {
	case n <= 125:
		b[1] = byte(n)
	case n <= 0xffff:
		b[1] = 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b[1] = 127
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	b[1] |= bitMask
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return b
}

const fin = bitFIN

func text(s string) []byte   { return masked(fin|byte(Text), s) }
func ping(s string) []byte   { return masked(fin|opPing, s) }
func bye(code uint16) []byte { return masked(fin|opClose, closing(code, "").payload) }

func join(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

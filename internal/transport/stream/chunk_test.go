package stream

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http/httputil"
	"testing"
	"testing/iotest"

	"magpie/internal/transport/socket"
)

// Whatever part of a body a socket takes at a time, the body comes out whole:
// parts may end within a chunk, within the lines around it, and be left to
// another batch, as with TryWrite and Write.
func TestChunksInParts(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		c := &Conn{}
		var wire, want []byte
		buf := make([]byte, 64+dice.IntN(200))
		for range 1 + dice.IntN(5) {
			frames := make([][]byte, 1+dice.IntN(4))
			for i := range frames {
				frames[i] = bytes.Repeat([]byte{byte('a' + dice.IntN(26))}, dice.IntN(300))
				want = append(want, frames[i]...)
			}
			b := batch{c: c, frames: socket.NewFrames(frames)}
			for out := b.Fill(buf); len(out) > 0; out = b.Fill(buf) {
				if len(out) > len(buf) {
					t.Fatalf("%d octets for a buffer of %d", len(out), len(buf))
				}
				n := 1 + dice.IntN(len(out))
				wire = append(wire, out[:n]...)
				b.Advance(n)
			}
		}
		wire = append(wire, c.appendEnd([]byte("last"))...)
		got, err := io.ReadAll(httputil.NewChunkedReader(iotest.OneByteReader(bytes.NewReader(wire))))
		if want = append(want, "last"...); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d octets of %d, %v", len(got), len(want), err)
		}
	}
}

// A chunk of which the socket took nothing does not stand in the way of an
// orderly end.
func TestAChunkThatWasNotTaken(t *testing.T) {
	c := &Conn{}
	b := batch{c: c, frames: socket.NewFrames([][]byte{[]byte("event")})}
	b.Fill(make([]byte, 100))
	if n := b.wrote(0); n != 0 || c.chunk.left() != 0 {
		t.Errorf("%d octets are out, %d are to come", n, c.chunk.left())
	}
	if end := c.appendEnd(nil); string(end) != "0\r\n\r\n" {
		t.Errorf("the body ends with %q", end)
	}
}

// A part that ends in the line end behind a chunk leaves that for the end.
func TestTheEndEndsAChunk(t *testing.T) {
	for cut := range 3 {
		c := &Conn{}
		b := batch{c: c, frames: socket.NewFrames([][]byte{[]byte("event")})}
		out := b.Fill(make([]byte, 100))
		wire := bytes.Clone(out[:len(out)-cut])
		if n := b.wrote(len(wire)); n != 5 {
			t.Errorf("%d octets of the frame are out, want 5", n)
		}
		wire = append(wire, c.appendEnd(nil)...)
		if want := "5\r\nevent\r\n0\r\n\r\n"; string(wire) != want {
			t.Errorf("%q, want %q", wire, want)
		}
	}
}

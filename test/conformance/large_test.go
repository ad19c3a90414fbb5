//go:build !race

package conformance

import (
	"fmt"
	"slices"
	"testing"

	"magpie/test/kit"
)

// Group 9: large messages, many fragments, many packets, many round trips. The
// race detector makes them ten times as slow: they run without it.
func TestLarge(t *testing.T) {
	t.Parallel()
	n := kit.StartAsShipped(t, append(settings(t), "--max-payload", "16MB")...)
	judge(t, n, large)
}

// large is group 9, with 7.1.6 and 10 behind it. A message never takes longer
// than its deadline, so these also show that 16 MB are taken in time. Cases of
// so many octets are made one at a time.
func large(yield func(conversation) bool) {
	var number string
	more := true
	next := func(i int, turns ...turn) {
		more = more && yield(conversation{fmt.Sprintf("9.%s.%d", number, 1+i), turns, stays})
	}
	for k, op := range []byte{opText, opBinary} {
		number = fmt.Sprint(1 + k)
		for i, size := range []int{64 * kb, 256 * kb, 1024 * kb, 4096 * kb, 8192 * kb, 16384 * kb} {
			next(i, inPieces(op, size, size))
		}
		number = fmt.Sprint(3 + k)
		for i, size := range []int{64, 256, 1 * kb, 4 * kb, 16 * kb, 64 * kb, 256 * kb, 1024 * kb, 4096 * kb} {
			next(i, inPieces(op, 4096*kb, size))
		}
		// Many small packets: a frame comes in parts.
		number = fmt.Sprint(5 + k)
		for i, size := range []int{64, 128, 256, 512, 1024, 2048} {
			t := inPieces(op, 1024*kb, 1024*kb)
			t.send = slices.Collect(slices.Chunk(t.send[0], size))
			next(i, t)
		}
		number = fmt.Sprint(7 + k)
		for i, size := range []int{0, 16, 64, 256, 1 * kb, 4 * kb} {
			next(i, slices.Repeat([]turn{inPieces(op, size, 4*kb)}, 1000)...)
		}
	}
	for _, c := range slices.Concat([]conversation{
		{"10.1.1", []turn{inPieces(opText, 64*kb, 1300)}, stays},
		// What was sent before the close frame is answered before it.
		{"7.1.6", []turn{say(text(stars(256*kb)), bye(1000, ""), ping("no")).echo(stars(256 * kb))}, 1000},
	}, lengths(16<<20)) {
		more = more && yield(c)
	}
}

// inPieces is a message in frames of so many octets, and its echo.
func inPieces(op byte, size, piece int) turn {
	body := stars(size)
	if op == opBinary && size > 0 {
		body = "\xfe" + body[1:] // no text
	}
	return say(pieces(op, body, piece)...).hear(frame{op, body})
}

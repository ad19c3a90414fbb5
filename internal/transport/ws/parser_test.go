package ws

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"unicode/utf8"
)

// parseAll feeds b to a parser in pieces of the given sizes (the last one for
// all that follows) and returns the events as text.
func parseAll(b []byte, limit int, sizes ...int) (events []string, p *parser) {
	return parseWith(new(parser), b, limit, sizes...)
}

func parseWith(p *parser, b []byte, limit int, sizes ...int) (events []string, _ *parser) {
	b = bytes.Clone(b)
	for len(b) > 0 {
		size := sizes[0]
		if len(sizes) > 1 {
			sizes = sizes[1:]
		}
		piece := b[:min(max(size, 1), len(b))]
		b = b[len(piece):]
		for len(piece) > 0 {
			n, ev := p.next(piece, limit)
			piece = piece[n:]
			if ev.kind == evNone {
				break
			}
			events = append(events, describe(ev))
			if ev.kind == evViolation || ev.kind == evClose {
				return events, p
			}
		}
	}
	return events, p
}

func describe(ev event) string {
	if ev.violation != nil {
		return ev.violation.Error()
	}
	return fmt.Sprintf("%d %d %v %d %q", ev.kind, ev.op, ev.deflated, ev.code, ev.payload)
}

const fuzzLimit = 5000

// However octets are cut, the events are the same; what is taken for text is
// UTF-8; nothing is over the limit; nothing panics.
func FuzzParser(f *testing.F) {
	for _, r := range rows() {
		if b := join(r.send...); len(b) < 4000 {
			f.Add(b, uint64(len(b)))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		deflate, limit := seed%2 == 1, fuzzLimit
		if deflate {
			limit += deflateSlack
		}
		whole, p := parseWith(&parser{deflate: deflate}, b, fuzzLimit, len(b)+1)
		if len(p.msg) > limit || cap(p.msg) > 2*limit {
			t.Fatalf("keeps %d octets in %d", len(p.msg), cap(p.msg))
		}
		rnd := rand.New(rand.NewPCG(seed, 1))
		sizes := make([]int, 50)
		for i := range sizes {
			sizes[i] = 1 + rnd.IntN(1+rnd.IntN(40))
		}
		for _, cut := range [][]int{{1}, {2}, {7}, sizes} {
			if got, _ := parseWith(&parser{deflate: deflate}, b, fuzzLimit, cut...); !slices.Equal(got, whole) {
				t.Fatalf("cut by %v:\n%v\nwhole:\n%v", cut, got, whole)
			}
		}
	})
}

// Any octets, as text cut anywhere, are refused exactly when utf8.Valid
// refuses them, and on the octet that makes them invalid.
func FuzzText(f *testing.F) {
	for _, s := range slices.Concat(validText, invalidText) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 100 {
			return
		}
		var p parser
		p.msgOp = byte(Text)
		for i := range b {
			p.msg = b[:i+1]
			if p.textOK(false) != canBecomeText(p.msg) {
				t.Fatalf("%x: textOK is %v", p.msg, !canBecomeText(p.msg))
			}
			if canBecomeText(p.msg) && p.valid < len(p.msg)-3 {
				t.Fatalf("%x: %d octets would be looked at again", p.msg, len(p.msg)-p.valid)
			}
			if !canBecomeText(p.msg) {
				return
			}
		}
		p.msg = b
		if p.textOK(true) != utf8.Valid(b) {
			t.Errorf("%x: textOK is %v at the end", b, !utf8.Valid(b))
		}
	})
}

// canBecomeText tries every ending that a begun character could have.
func canBecomeText(b []byte) bool {
	for _, end := range []string{"", "\x80", "\x80\x80", "\x80\x80\x80", "\xbf", "\xbf\xbf", "\xbf\xbf\xbf", "\x90\x80\x80", "\xa0\x80", "\x90\x80"} {
		if utf8.Valid(append(bytes.Clone(b), end...)) {
			return true
		}
	}
	return false
}

// W6, W7: a declared length reserves nothing; room grows with what comes, to
// the message's exact length.
func TestDeclaredLengthReservesNothing(t *testing.T) {
	const size = 60000
	frame := masked(fin|byte(Binary), string(make([]byte, size)))
	_, p := parseAll(frame[:9], size, 1)
	if cap(p.msg) > 16 {
		t.Errorf("after one octet of %d there is room for %d", size, cap(p.msg))
	}
	whole := new(parser)
	_, ev := whole.next(frame, size)
	if len(ev.payload) != size || cap(ev.payload) > size+size/8 {
		t.Errorf("message of %d octets holds %d", len(ev.payload), cap(ev.payload))
	}
	if !whole.idle() || whole.msg != nil {
		t.Error("the parser keeps the message that it gave away")
	}
}

// A message that came whole costs one allocation: its payload.
func TestParseAllocatesThePayloadAlone(t *testing.T) {
	frame, buf := text("a message of the usual kind"), make([]byte, 100)
	var p parser
	if n := testing.AllocsPerRun(100, func() { p.next(buf[:copy(buf, frame)], 1000) }); n != 1 {
		t.Errorf("%v allocations per message, want 1", n)
	}
}

func BenchmarkParse(b *testing.B) {
	for _, size := range []int{100, 4096, 60000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			frame := text(string(bytes.Repeat([]byte("é"), size/2)))
			buf := make([]byte, len(frame))
			var p parser
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				p.next(buf[:copy(buf, frame)], 1<<20)
			}
		})
	}
}

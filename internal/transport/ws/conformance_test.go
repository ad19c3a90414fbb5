package ws

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"magpie/internal/fault"
)

// row is a conversation: frames that a client sends, and all that an echo
// server answers before the end of the stream.
type row struct {
	name string
	send [][]byte
	want []got
}

func sent(parts ...[]byte) [][]byte { return parts }

func echoed(s string) got    { return got{byte(Text), s} }
func echoedBin(s string) got { return got{byte(Binary), s} }
func ponged(s string) got    { return got{opPong, s} }

var (
	broken  = closing(codeProtocol, "")
	notText = closing(codeUTF8, "")
	tooBig  = closing(codeTooBig, "")
	policy  = closing(codePolicy, "")
	normal  = closing(1000, "")
)

const testLimit = 66000 // above 65536, so that every form of length is met

func header(first byte, length ...byte) []byte { return append([]byte{first}, length...) }

// rows are the groups of the Autobahn suite, without its limits and
// compression, and more; W numbers are of the attack catalogue.
func rows() []row {
	var all []row
	add := func(name string, send [][]byte, want ...got) { all = append(all, row{name, send, want}) }
	rep := func(n int) string { return strings.Repeat("*", n) }

	// 1: framing.
	for _, n := range []int{0, 1, 7, 124, 125, 126, 127, 128, 65534, 65535, 65536, 65537} {
		add(fmt.Sprintf("text of %d", n), sent(text(rep(n)), bye(1000)), echoed(rep(n)), normal)
		add(fmt.Sprintf("binary of %d", n), sent(masked(fin|byte(Binary), rep(n)), bye(1000)), echoedBin(rep(n)), normal)
	}
	add("two messages in order", sent(text("one"), text("two"), bye(1000)), echoed("one"), echoed("two"), normal)
	add("W17 mask of zeroes", sent(maskedWith([4]byte{}, fin|byte(Text), "plain"), bye(1000)), echoed("plain"), normal)

	// 2: ping and pong.
	binaryPayload := "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
	for _, p := range []string{"", "Hello", binaryPayload, rep(125)} {
		add(fmt.Sprintf("ping of %d", len(p)), sent(ping(p), bye(1000)), ponged(p), normal)
	}
	add("W3 ping of 126", sent(ping(rep(126))), broken)
	add("pong unasked", sent(masked(fin|opPong, ""), masked(fin|opPong, "payload"), ping("x"), bye(1000)), ponged("x"), normal)
	var tens [][]byte
	var pongs []got
	for i := range 10 {
		tens, pongs = append(tens, ping(fmt.Sprint("ping-", i))), append(pongs, ponged(fmt.Sprint("ping-", i)))
	}
	all = append(all, row{"ten pings", append(tens, bye(1000)), append(pongs, normal)})

	// 3: reserved bits (W2). What came before is still answered, what follows is not.
	for rsv := byte(1); rsv <= 7; rsv++ {
		for _, op := range []byte{byte(Text), opPing, opClose} {
			add(fmt.Sprintf("W2 rsv %d op %d", rsv, op), sent(text("ok"), masked(fin|rsv<<4|op, ""), ping("")), echoed("ok"), broken)
		}
		add(fmt.Sprintf("W2 rsv %d on a continuation", rsv), sent(masked(byte(Text), "a"), masked(fin|rsv<<4, "b")), broken)
	}

	// 4: reserved opcodes (W2).
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		add(fmt.Sprintf("W2 opcode %d", op), sent(text("ok"), masked(fin|op, "x"), ping("")), echoed("ok"), broken)
	}

	// 5: fragmentation.
	add("W3 fragmented ping", sent(masked(opPing, "a"), masked(fin, "b")), broken)
	add("W3 fragmented pong", sent(masked(opPong, "a"), masked(fin, "b")), broken)
	add("W3 fragmented close", sent(masked(opClose, "")), broken)
	add("two fragments", sent(masked(byte(Text), "frag"), masked(fin, "ment"), bye(1000)), echoed("fragment"), normal)
	add("ping between fragments", sent(masked(byte(Text), "frag"), ping("mid"), masked(fin, "ment"), bye(1000)), ponged("mid"), echoed("fragment"), normal)
	add("empty fragments", sent(masked(byte(Binary), ""), masked(0, ""), masked(fin, ""), bye(1000)), echoedBin(""), normal)
	for _, f := range []byte{0, fin} {
		add(fmt.Sprintf("W10 continuation of nothing, fin %d", f>>7), sent(text("ok"), masked(f, "x"), text("no")), echoed("ok"), broken)
	}
	add("W10 continuation after a whole message", sent(masked(byte(Text), "a"), masked(fin, "b"), masked(fin, "c")), echoed("ab"), broken)
	add("W10 text inside text", sent(masked(byte(Text), "a"), text("b")), broken)
	add("W10 binary inside text", sent(masked(byte(Text), "a"), masked(byte(Binary), "b")), broken)
	add("five fragments with pings", sent(masked(byte(Text), "1"), masked(0, "2"), ping("p"), masked(0, "3"), masked(0, "4"), ping("q"), masked(fin, "5"), bye(1000)),
		ponged("p"), ponged("q"), echoed("12345"), normal)
	pieces := [][]byte{masked(byte(Text), "x")}
	for range maxFragments - 2 {
		pieces = append(pieces, masked(0, "x"))
	}
	add("as many fragments as allowed", append(slices.Clone(pieces), masked(fin, "x"), bye(1000)), echoed(strings.Repeat("x", maxFragments)), normal)
	add("a message in pieces of 512 octets", sent(inPieces(testLimit, 512)...), echoed(strings.Repeat("x", testLimit)), normal)
	add("W8 too many fragments", append(slices.Clone(pieces), masked(0, ""), masked(0, "")), policy)

	// 6: UTF-8 (W12). Refused before the message is whole, valid text cut anywhere.
	kosme := "κόσμε"
	add("text cut inside a character", sent(masked(byte(Text), kosme[:3]), masked(0, kosme[3:4]), masked(fin, kosme[4:]), bye(1000)), echoed(kosme), normal)
	for i, bad := range invalidText {
		add(fmt.Sprintf("invalid text %d %x", i, bad), sent(text("ok"), text("κ"+bad+"x"), text("no")), echoed("ok"), notText)
		add(fmt.Sprintf("invalid text %d %x, no end", i, bad), sent(masked(byte(Text), "κ"), masked(0, bad+"x")), notText)
	}
	for i, good := range validText {
		add(fmt.Sprintf("valid text %d %x", i, good), sent(text(good), bye(1000)), echoed(good), normal)
	}
	add("binary need not be text", sent(masked(fin|byte(Binary), "\xff\xfe"), bye(1000)), echoedBin("\xff\xfe"), normal)

	// 7: the close handshake (W14).
	add("close", sent(bye(1000)), normal)
	add("close without a code", sent(masked(fin|opClose, "")), got{opClose, ""})
	add("close, then more", sent(text("ok"), bye(1000), ping("no"), text("no"), bye(1000)), echoed("ok"), normal)
	add("close inside a message", sent(masked(byte(Text), "a"), bye(1000), masked(fin, "b")), normal)
	add("close with half a code", sent(masked(fin|opClose, "a")), broken)
	add("close with a reason", sent(masked(fin|opClose, closing(1000, "bye").payload)), normal)
	add("close with the longest reason", sent(masked(fin|opClose, closing(1000, rep(123)).payload)), normal)
	add("close with too long a reason", sent(masked(fin|opClose, closing(1000, rep(124)).payload)), broken)
	add("close with a bad reason", sent(masked(fin|opClose, closing(1000, "\xce\xba\xff").payload)), notText)
	for _, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		add(fmt.Sprintf("close %d", code), sent(bye(code)), closing(code, ""))
	}
	for _, code := range []uint16{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		add(fmt.Sprintf("close %d, which may not be sent", code), sent(bye(code)), broken)
	}

	// 9: limits, and lengths that lie (W5, W6): judged by the header alone.
	add("a message of the limit", sent(text(rep(testLimit)), bye(1000)), echoed(rep(testLimit)), normal)
	add("W5 one over the limit", sent(text(rep(testLimit+1))), tooBig)
	add("fragments over the limit", sent(masked(byte(Text), rep(testLimit)), masked(fin, "x")), tooBig)
	add("W6 a gigabyte declared", sent(header(0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0)), tooBig)
	add("W5 2^32+1", sent(header(0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 1)), tooBig)
	add("W5 the most there is", sent(header(0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)), tooBig)
	add("W5 highest bit", sent(header(0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0)), broken)
	add("16-bit length of 125", sent(header(0x82, 0xfe, 0, 125)), broken)
	add("64-bit length of 65535", sent(header(0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff)), broken)

	// W1, W16.
	add("W1 unmasked text", sent(text("ok"), Frame(Text, []byte("x"))), echoed("ok"), broken)
	add("W1 unmasked ping", sent(appendHeader(nil, opPing, 0)), broken)
	add("W1 unmasked close", sent(appendClose(nil, 1000, "")), broken)
	add("W16 an HTTP request", sent([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")), broken)
	add("W16 TLS", sent([]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")), broken)
	return all
}

// From Kuhn's table: first and last of each length, overlong, surrogates,
// beyond the end, lonely and missing octets.
var validText = []string{
	"\x00", "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80", "\x7f", "\xdf\xbf", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf",
	"\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd", "\xef\xbf\xbe", "\xef\xb7\x90", "\xf0\x9f\xbf\xbe", "Hello-µ@ßöäüàá-UTF-8!!",
}

var invalidText = []string{
	"\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80", "\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf", "\xf4\x90\x80\x80",
	"\x80", "\xbf", "\x80\xbf", "\x80\xbf\x80", "\xc0", "\xc1 ", "\xc2 ", "\xdf ", "\xe0 ", "\xe0\xa0 ", "\xef\xbf ", "\xf0 ", "\xf0\x90 ", "\xf0\x90\x80 ",
	"\xf5", "\xfe", "\xff", "\xfe\xfe\xff\xff", "\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf",
	"\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbf\xbf",
	"\xed\xa0\x80\xed\xb0\x80", "\xed\xaf\xbf\xed\xbf\xbf",
}

// chops are the ways in which a row's octets reach the server.
var chops = []struct {
	name string
	size int // octets per write; 0: a frame per write
	most int // rows of more octets are left out, to bound the run
}{{"at once", math.MaxInt, math.MaxInt}, {"by frame", 0, math.MaxInt}, {"by octet", 1, 600}}

// sendChopped sends on its own goroutine, for as long as the server listens,
// and returns a function that ends it.
func (c *client) sendChopped(frames [][]byte, size int) (stop func()) {
	pieces := frames
	if size > 0 {
		pieces = slices.Collect(slices.Chunk(join(frames...), min(size, 1<<20)))
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, piece := range pieces {
			if _, err := c.Write(piece); err != nil {
				return
			}
		}
	}()
	return func() { c.Close(); <-done }
}

// Every row, cut in every way, over both read paths, gives the same answers.
func TestConformance(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		closed := make(chan CloseInfo, 1)
		e := listen(t, Config{MaxMessage: testLimit, forcePortable: portable}, newEcho(closed))
		for _, r := range rows() {
			for _, chop := range chops {
				if len(join(r.send...)) > chop.most {
					continue
				}
				t.Run(r.name+"/"+chop.name, func(t *testing.T) {
					c := dial(t, e.addr)
					stop := c.sendChopped(r.send, chop.size)
					defer stop()
					checkAnswers(t, c.all(), r.want, portable)
					checkReason(t, <-closed, r)
				})
			}
		}
	})
}

// checkReason compares the reason that a handler is given with the code that
// the peer is given: one reason has several codes.
func checkReason(t *testing.T, info CloseInfo, r row) {
	t.Helper()
	if slices.ContainsFunc(r.send, func(b []byte) bool { return b[0] == fin|opClose }) {
		return // the code may be the peer's own
	}
	want := fault.ReasonProtocol
	switch r.want[len(r.want)-1] {
	case tooBig:
		want = fault.ReasonTooBig
	case policy:
		if info.Err != errFragments {
			t.Errorf("closed with %v", info.Err)
		}
	}
	if info.Reason != want {
		t.Errorf("closed with %+v, want %s", info, want)
	}
}

// checkAnswers compares what came with what should have. Pongs overtake
// messages, since a handler may be busy; the close frame overtakes nothing. Where
// pongs are written by another goroutine only the latest of several has to
// come (RFC 6455 section 5.5.3).
func checkAnswers(t *testing.T, frames, want []got, latestPong bool) {
	t.Helper()
	if n := len(frames); n == 0 || frames[n-1].op != opClose {
		t.Fatalf("answers do not end with a close frame: %v", frames)
	}
	pongs, others := split(frames)
	wantPongs, wantOthers := split(want)
	if latestPong && len(pongs) > 0 && len(wantPongs) > 0 {
		pongs, wantPongs = pongs[len(pongs)-1:], wantPongs[len(wantPongs)-1:]
	}
	if !slices.Equal(others, wantOthers) || !slices.Equal(pongs, wantPongs) {
		t.Errorf("got  %v\nwant %v", frames, want)
	}
}

func split(frames []got) (pongs, others []got) {
	for _, g := range frames {
		if g.op == opPong {
			pongs = append(pongs, g)
		} else {
			others = append(others, g)
		}
	}
	return pongs, others
}

// The same rows, sent together with the handshake in one packet: what net/http
// has read ahead is not lost.
func TestConformanceAheadOfTheAnswer(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		e := listen(t, Config{MaxMessage: testLimit, forcePortable: portable}, newEcho(nil))
		for _, r := range rows() {
			octets := join(r.send...)
			if len(octets) > 2000 {
				continue
			}
			t.Run(r.name, func(t *testing.T) {
				checkAnswers(t, dial(t, e.addr, octets...).all(), r.want, portable)
			})
		}
	})
}

// inPieces is one text message of size octets in frames of piece octets, and
// the close frame.
func inPieces(size, piece int) (frames [][]byte) {
	for at := 0; at < size; at += piece {
		first := byte(0)
		if at == 0 {
			first = byte(Text)
		}
		if at+piece >= size {
			first |= fin
		}
		frames = append(frames, masked(first, strings.Repeat("x", min(piece, size-at))))
	}
	return append(frames, bye(1000))
}

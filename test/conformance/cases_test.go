package conformance

import (
	"fmt"
	"slices"
	"strings"
)

func stars(n int) string { return strings.Repeat("*", n) }

// framing is group 1: every form of length, and the lengths beside its edges.
func framing() (all []conversation) {
	for i, n := range []int{0, 125, 126, 127, 128, 65535, 65536, 1, 124, 129, 65534} {
		id := fmt.Sprint(i + 1)
		if i > 6 {
			id = fmt.Sprintf("%d octets", n)
		}
		all = append(all,
			conversation{"1.1." + id, []turn{say(text(stars(n))).echo(stars(n))}, stays},
			conversation{"1.2." + id, []turn{say(bin("\xfe" + stars(max(n, 1))[1:])).echoBinary("\xfe" + stars(max(n, 1))[1:])}, stays})
	}
	return append(all,
		conversation{"two messages in one packet", []turn{say(text("one"), bin("two\xff")).echo("one").echoBinary("two\xff")}, stays},
		conversation{"W17 a mask of zeroes", []turn{say(withMask(header(fin|opText, 0, 5), [4]byte{}, "plain")).echo("plain")}, stays},
		conversation{"W1 an unmasked text", []turn{say([]byte("\x81\x01x"))}, 1002},
		conversation{"W1 an unmasked ping", []turn{say([]byte("\x89\x00"))}, 1002},
		conversation{"W1 an unmasked close frame", []turn{say([]byte("\x88\x02\x03\xe8"))}, 1002},
		conversation{"W16 an HTTP request", []turn{say([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))}, 1002},
		conversation{"W16 a TLS hello", []turn{say([]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"))}, 1002},
	)
}

// pings is group 2.
func pings() []conversation {
	notText := "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
	var ten turn
	for i := range 10 {
		payload := fmt.Sprint("payload ", i)
		ten.send = append(ten.send, ping(payload))
		ten = ten.pong(payload)
	}
	return []conversation{
		{"2.1", []turn{say(ping("")).pong("")}, stays},
		{"2.2", []turn{say(ping("Hello, world!")).pong("Hello, world!")}, stays},
		{"2.3", []turn{say(ping(notText)).pong(notText)}, stays},
		{"2.4", []turn{say(ping(stars(125))).pong(stars(125))}, stays},
		{"2.5", []turn{say(ping(stars(126)))}, 1002},
		{"2.6", []turn{say(ping("\xfe" + stars(124))).pong("\xfe" + stars(124))}, stays},
		{"2.7", []turn{say(pong(""))}, stays},
		{"2.8", []turn{say(pong("nobody asked"))}, stays},
		{"2.9", []turn{say(pong("nobody asked"), ping("asked")).pong("asked")}, stays},
		{"2.10 and 2.11", []turn{ten}, stays},
	}
}

// reservedBits is group 3: no extension is negotiated, so no bit may be set, and
// nothing that follows is answered.
func reservedBits() (all []conversation) {
	ops := []struct {
		op      byte
		payload string
	}{{opText, "x"}, {opBinary, "x"}, {opPing, ""}, {opPong, ""}, {opClose, ""}}
	for rsv := byte(1); rsv <= 7; rsv++ {
		for _, o := range ops {
			id := fmt.Sprintf("3.%d opcode %d", rsv, o.op)
			bad := masked(fin|rsv<<4|o.op, o.payload)
			all = append(all,
				conversation{id, []turn{say(bad)}, 1002},
				conversation{id + " behind a message", []turn{say(text("ok"), bad, ping("no")).echo("ok")}, 1002})
		}
		all = append(all, conversation{fmt.Sprintf("3.%d in a continuation", rsv), []turn{say(masked(opText, "a"), masked(fin|rsv<<4, "b"))}, 1002})
	}
	return all
}

// opcodes is group 4: those that are reserved.
func opcodes() (all []conversation) {
	for i, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		id := fmt.Sprintf("4.%d.%d", 1+i/5, 1+i%5)
		all = append(all,
			conversation{id, []turn{say(masked(fin|op, ""))}, 1002},
			conversation{id + " with a payload", []turn{say(masked(fin|op, "payload"))}, 1002},
			conversation{id + " behind a message", []turn{say(text("ok"), masked(fin|op, "x"), ping("no")).echo("ok")}, 1002})
	}
	return all
}

// fragments is group 5; its cases that differ in their packets alone are one
// here.
func fragments() []conversation {
	first, middle, last := masked(opText, "frag"), masked(opContinuation, "men"), masked(fin|opContinuation, "ts")
	pinged := func(gap bool) []turn {
		parts := slices.Clone([][]byte{masked(opText, "f1"), masked(0, "f2"), ping("p1"), masked(0, "f3"), masked(0, "f4"), ping("p2"), masked(fin, "f5")})
		if !gap {
			return []turn{say(parts...).pong("p1").pong("p2").echo("f1f2f3f4f5")}
		}
		return []turn{say(parts[:3]...).pong("p1"), say(parts[3:6]...).pong("p2"), say(parts[6]).echo("f1f2f3f4f5")}
	}
	return []conversation{
		{"5.1", []turn{say(masked(opPing, "frag"), masked(fin, "ment"))}, 1002},
		{"5.2", []turn{say(masked(opPong, "frag"), masked(fin, "ment"))}, 1002},
		{"a fragmented close frame", []turn{say(masked(opClose, closing(1000)))}, 1002},
		{"5.3 to 5.5", []turn{say(first, last).echo("fragts")}, stays},
		{"5.6 to 5.8", []turn{say(first, ping("between")).pong("between"), say(last).echo("fragts")}, stays},
		{"5.9 to 5.11", []turn{say(masked(fin, "nothing to continue"), text("no"))}, 1002},
		{"5.12 to 5.14", []turn{say(masked(0, "nothing to continue"), text("no"))}, 1002},
		{"5.15", []turn{say(first, last, masked(0, "nothing to continue"), text("no")).echo("fragts")}, 1002},
		{"5.16", []turn{say(masked(0, "a"), text("b"), masked(0, "a"), text("b"))}, 1002},
		{"5.17", []turn{say(masked(fin, "a"), text("b"), masked(fin, "a"), text("b"))}, 1002},
		{"5.18", []turn{say(first, text("inside"))}, 1002},
		{"W10 binary inside text", []turn{say(first, bin("inside"))}, 1002},
		{"W10 two messages interleaved", []turn{say(first, masked(opBinary, "x"), middle, last)}, 1002},
		{"5.19", pinged(true), stays},
		{"5.20", pinged(false), stays},
		{"three fragments", []turn{say(first, middle, last).echo("fragments")}, stays},
		{"a fragment of each octet", []turn{say(pieces(opText, stars(60), 1)...).echo(stars(60))}, stays},
		{"empty fragments", []turn{say(masked(opText, ""), masked(0, ""), masked(fin, "")).echo("")}, stays},
		{"empty binary fragments around octets", []turn{say(masked(opBinary, ""), masked(0, "\xff"), masked(fin, "")).echoBinary("\xff")}, stays},
		{"a close frame inside a message", []turn{say(first, bye(1000, ""), last)}, 1000},
	}
}

// closes is group 7.
func closes() (all []conversation) {
	all = []conversation{
		{"7.1.1", []turn{say(text("Hello")).echo("Hello"), say(bye(1000, ""))}, 1000},
		{"7.1.2", []turn{say(bye(1000, ""), bye(1000, ""))}, 1000},
		{"7.1.3", []turn{say(bye(1000, ""), ping("no"))}, 1000},
		{"7.1.4", []turn{say(bye(1000, ""), text("no"))}, 1000},
		{"7.1.5", []turn{say(masked(opText, "frag"), bye(1000, ""), masked(fin, "ment"))}, 1000},
		{"messages before the close frame are answered", []turn{say(text("one"), text("two"), bye(1000, "")).echo("one").echo("two")}, 1000},
		{"7.3.1", []turn{say(masked(fin|opClose, ""))}, noCode},
		{"7.3.2", []turn{say(masked(fin|opClose, "a"))}, 1002},
		{"7.3.3", []turn{say(bye(1000, ""))}, 1000},
		{"7.3.4", []turn{say(bye(1000, "Hello, world!"))}, 1000},
		{"7.3.5", []turn{say(bye(1000, stars(123)))}, 1000},
		{"7.3.6", []turn{say(bye(1000, stars(124)))}, 1002},
		{"7.5.1", []turn{say(bye(1000, "\xce\xba\xed\xa0\x80edited"))}, 1007},
	}
	for i, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999, 1012, 1013, 1014} {
		all = append(all, conversation{fmt.Sprintf("7.7.%d code %d", i+1, code), []turn{say(bye(code, ""))}, int(code)})
	}
	for i, code := range []uint16{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999} {
		all = append(all, conversation{fmt.Sprintf("7.9.%d code %d", i+1, code), []turn{say(bye(code, ""))}, 1002})
	}
	for i, code := range []uint16{5000, 65535} {
		all = append(all, conversation{fmt.Sprintf("7.13.%d code %d", i+1, code), []turn{say(bye(code, ""))}, 1002})
	}
	return all
}

// lengths are those of rows W5 and W6, which the header alone decides, and
// messages at the server's limit.
func lengths(limit int) []conversation {
	return []conversation{
		{"a message at the limit", []turn{say(text(stars(limit))).echo(stars(limit))}, stays},
		{"W5 one octet over the limit", []turn{say(text(stars(limit + 1)))}, 1009},
		{"fragments over the limit", []turn{say(masked(opText, stars(limit)), masked(fin, "x"))}, 1009},
		{"W6 a gigabyte is declared", []turn{say(header(fin|opBinary, 127, 1<<30))}, 1009},
		{"W5 a length of 2^32+1", []turn{say(header(fin|opBinary, 127, 1<<32+1))}, 1009},
		{"W5 the longest length", []turn{say(header(fin|opBinary, 127, 1<<63-1))}, 1009},
		{"W5 the highest bit of a length", []turn{say(header(fin|opBinary, 127, 1<<63))}, 1002},
		{"125 octets in the form of 16 bits", []turn{say(header(fin|opBinary, 126, 125))}, 1002},
		{"no octet in the form of 16 bits", []turn{say(header(fin|opText, 126, 0))}, 1002},
		{"65535 octets in the form of 64 bits", []turn{say(header(fin|opBinary, 127, 65535))}, 1002},
		{"a ping in the form of 16 bits", []turn{say(header(fin|opPing, 126, 5))}, 1002},
		{"a ping in the form of 64 bits", []turn{say(header(fin|opPing, 127, 5))}, 1002},
	}
}

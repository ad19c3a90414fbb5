package ws

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"unicode/utf8"
)

// reference is RFC 6455 sections 5 and 7 written down once more, for all octets at
// once and with no thought of speed. It returns what is complete, and the close
// code of the first violation; 0: there is none.
func reference(b []byte, limit int) (events []string, code uint16) {
	var message []byte
	var began byte // opcode of the message that is open; 0: none
	frames := 0
	for len(b) >= 2 {
		fin, rsv, op, masked, short := b[0]&0x80 != 0, b[0]>>4&7, b[0]&15, b[1]&0x80 != 0, b[1]&0x7f
		control := op >= 8
		switch {
		case rsv != 0, op > 2 && op < 8, op > 10, !masked,
			control && (!fin || short > 125),
			!control && op != 0 && began != 0,
			op == 0 && began == 0:
			return events, 1002
		case op == 0 && frames >= 64 && frames-64 >= len(message)/64:
			return events, 1008
		}
		length, head := uint64(short), 2
		switch short {
		case 126:
			if len(b) < 4 {
				return events, 0
			}
			length, head = uint64(binary.BigEndian.Uint16(b[2:])), 4
			if length < 126 {
				return events, 1002
			}
		case 127:
			if len(b) < 10 {
				return events, 0
			}
			length, head = binary.BigEndian.Uint64(b[2:]), 10
			if length>>63 != 0 || length < 1<<16 {
				return events, 1002
			}
		}
		if !control && length > uint64(limit-len(message)) {
			return events, 1009
		}
		if len(b) < head+4 {
			return events, 0
		}
		mask, rest := b[head:head+4], b[head+4:]
		n := min(int(length), len(rest))
		payload := make([]byte, n)
		for i := range payload {
			payload[i] = rest[i] ^ mask[i%4]
		}
		whole := n == int(length)
		b = rest[n:]
		if control {
			if !whole {
				return events, 0
			}
			event, bad, end := referenceControl(op, payload)
			if bad != 0 {
				return events, bad
			}
			if events = append(events, event); end {
				return events, 0
			}
			continue
		}
		if op != 0 {
			began, message, frames = op, nil, 0
		}
		frames++
		message = append(message, payload...)
		if began == 1 && (fin && whole && !utf8.Valid(message) || !canBecomeText(message)) {
			return events, 1007
		}
		if !whole {
			return events, 0
		}
		if fin {
			events = append(events, fmt.Sprintf("%d %d %q", evMessage, began, message))
			began = 0
			message = nil
		}
	}
	return events, 0
}

func referenceControl(op byte, payload []byte) (event string, violation uint16, end bool) {
	switch op {
	case 9:
		return fmt.Sprintf("%d 0 %q", evPing, payload), 0, false
	case 10:
		return fmt.Sprintf("%d 0 %q", evPong, ""), 0, false
	}
	if len(payload) == 0 {
		return fmt.Sprintf("%d 1005 %q", evClose, ""), 0, true
	}
	if len(payload) == 1 {
		return "", 1002, false
	}
	code, reason := binary.BigEndian.Uint16(payload), payload[2:]
	registered := slices.Contains([]uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014}, code)
	if !registered && (code < 3000 || code > 4999) {
		return "", 1002, false
	}
	if !utf8.Valid(reason) {
		return "", 1007, false
	}
	return fmt.Sprintf("%d %d %q", evClose, code, reason), 0, true
}

// Whatever comes, the parser finds what the reference finds.
func FuzzReference(f *testing.F) {
	for _, r := range rows() {
		if b := join(r.send...); len(b) < 4000 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		want, code := reference(b, fuzzLimit)
		var p parser
		var got []string
		var violated uint16
		for rest := slices.Clone(b); ; {
			n, ev := p.next(rest, fuzzLimit)
			rest = rest[n:]
			if ev.kind == evNone {
				break
			}
			if ev.kind == evViolation {
				violated = ev.violation.code
				break
			}
			number := uint16(ev.op)
			if ev.kind == evClose {
				number = ev.code
			}
			got = append(got, fmt.Sprintf("%d %d %q", ev.kind, number, ev.payload))
			if ev.kind == evClose {
				break
			}
		}
		if !slices.Equal(got, want) || violated != code {
			t.Errorf("%x\n got %v, %d\nwant %v, %d", b, got, violated, want, code)
		}
	})
}

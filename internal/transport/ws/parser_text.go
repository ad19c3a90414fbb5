package ws

import (
	"encoding/binary"
	"unicode/utf8"
)

// textOK tells whether the message can still become UTF-8, or is when final.
// Each octet is looked at once, but for the up to three of a character that a
// chunk cut. It fails on the very octet that makes the text invalid.
func (p *parser) textOK(final bool) bool {
	fresh := p.msg[p.valid:]
	whole := len(fresh) - cutOff(fresh)
	if !utf8.Valid(fresh[:whole]) {
		return false
	}
	p.valid += whole
	return !final || whole == len(fresh)
}

// cutOff is the length of the begun character at the end of b, 0 when b ends
// with a whole one or with one that no octets can make valid.
func cutOff(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		tail := b[len(b)-n:]
		if !utf8.RuneStart(tail[0]) {
			continue
		}
		if utf8.FullRune(tail) {
			return 0
		}
		return n
	}
	return 0
}

// closeFrame reads a close frame (RFC 6455 section 5.5.1).
func (p *parser) closeFrame() event {
	body := p.ctl[:p.nctl]
	switch {
	case len(body) == 0:
		return event{kind: evClose, code: codeNoStatus}
	case len(body) == 1:
		return event{kind: evViolation, violation: notProtocol("close frame with half a code")}
	}
	code, reason := binary.BigEndian.Uint16(body), body[2:]
	switch {
	case !validCode(code):
		return event{kind: evViolation, violation: notProtocol("close code that may not be sent")}
	case !utf8.Valid(reason):
		return event{kind: evViolation, violation: notUTF8("close reason is not UTF-8")}
	}
	return event{kind: evClose, code: code, payload: reason}
}

package ws

import (
	"encoding/binary"
	"math"

	gobwas "github.com/gobwas/ws"
)

// parser turns octets into messages and control frames, in whatever pieces
// they come: any two ways to cut the same octets give the same events. It is
// strict: what RFC 6455 forbids is a violation, found as early as the octets
// allow it, and a declared length never makes it reserve more memory than has come.
//
// The zero value is ready. A parser that is idle holds nothing worth keeping.
//
// It has more than 15 fields because it is one allocation, which connections share.
type parser struct {
	hdr  [gobwas.MaxHeaderSize]byte // of the frame that is being begun
	nhdr uint8

	// the frame whose payload is being read
	inFrame bool
	fin     bool
	op      byte
	mask    [4]byte
	off     int // payload octets read
	left    int // payload octets to come

	deflate bool // a message may be deflated

	// the message that is being read, over its fragments
	msgOp    byte // 0: none
	deflated bool
	frags    uint32
	msg      []byte
	valid    int // octets of msg known to be whole UTF-8 characters

	ctl  [maxControl]byte // payload of the present control frame
	nctl uint8
}

type kind uint8

const (
	evNone    kind = iota // the octets are used up
	evMessage             // op, payload: the receiver's to keep
	evPing                // payload, until the next call
	evPong
	evClose // code, payload (the reason), until the next call
	evViolation
)

type event struct {
	kind      kind
	op        Op
	deflated  bool // the payload is to be inflated, and text is not checked yet
	code      uint16
	payload   []byte
	violation *violation
}

// idle tells that nothing has been begun.
func (p *parser) idle() bool { return p.nhdr == 0 && !p.inFrame && p.msgOp == 0 }

// next reads on until something is complete or buf is used up, and returns how
// much it took. It unmasks in place: buf is overwritten. After a violation
// or a close frame the parser must not be used again.
func (p *parser) next(buf []byte, limit int) (int, event) {
	n := 0
	for {
		if !p.inFrame {
			k, ready, v := p.header(buf[n:], limit)
			n += k
			if v != nil {
				return n, event{kind: evViolation, violation: v}
			}
			if !ready {
				return n, event{}
			}
		}
		chunk := buf[n:min(n+p.left, len(buf))]
		n += len(chunk)
		if v := p.payload(chunk, limit); v != nil {
			return n, event{kind: evViolation, violation: v}
		}
		if p.left > 0 {
			return n, event{}
		}
		p.inFrame = false
		if ev := p.complete(); ev.kind != evNone {
			return n, ev
		}
	}
}

// skip goes on after a violation that left the frames as they are, keeps nothing
// and tells when the peer's close frame is whole: a socket that is closed before
// that resets the connection. buf is not changed.
func (p *parser) skip(buf []byte) (closed bool) {
	for {
		n := min(p.left, len(buf))
		p.left -= n
		buf = buf[n:]
		if p.left > 0 {
			return false
		}
		if p.op == opClose {
			return true
		}
		if p.nhdr < 2 {
			buf = buf[p.collect(buf, 2):]
		}
		if p.nhdr < 2 {
			return false
		}
		whole := p.lengthEnd() + 4
		buf = buf[p.collect(buf, whole):]
		if p.nhdr < whole {
			return false
		}
		size, _ := p.length()
		p.op, p.left, p.nhdr = p.hdr[0]&bitsOp, int(size&math.MaxInt64), 0
	}
}

// header collects a frame's header and checks each part as soon as it is whole.
func (p *parser) header(buf []byte, limit int) (n int, ready bool, v *violation) {
	if p.nhdr < 2 {
		if n += p.collect(buf, 2); p.nhdr < 2 {
			return n, false, nil
		}
		if v := p.checkStart(); v != nil {
			return n, false, v
		}
	}
	size := p.lengthEnd()
	if p.nhdr <= size {
		if n += p.collect(buf[n:], size); p.nhdr < size {
			return n, false, nil
		}
		if v := p.checkLength(limit); v != nil {
			return n, false, v
		}
	}
	if n += p.collect(buf[n:], size+4); p.nhdr < size+4 {
		return n, false, nil
	}
	p.startFrame(size)
	return n, true, nil
}

func (p *parser) collect(buf []byte, upTo uint8) int {
	n := copy(p.hdr[p.nhdr:upTo], buf)
	p.nhdr += uint8(n)
	return n
}

// lengthEnd is where the header's length field ends and its mask begins.
func (p *parser) lengthEnd() uint8 {
	switch p.hdr[1] &^ bitMask {
	case 126:
		return 4
	case 127:
		return 10
	}
	return 2
}

// checkStart checks the first two octets, which is all that RFC 6455 section 5
// has rules for but the form of a length.
func (p *parser) checkStart() *violation {
	op, state, rsv := p.hdr[0]&bitsOp, gobwas.StateServerSide, p.hdr[0]&bitsRSV
	if p.deflate && (op == byte(Text) || op == byte(Binary)) {
		rsv &^= bitRSV1
	}
	if p.msgOp != 0 {
		state |= gobwas.StateFragmented
	}
	if err := gobwas.CheckHeader(gobwas.Header{
		Fin: p.hdr[0]&bitFIN != 0, Rsv: rsv >> 4, OpCode: gobwas.OpCode(op),
		Masked: p.hdr[1]&bitMask != 0, Length: int64(p.hdr[1] &^ bitMask), // over 125: a longer form follows
	}, state); err != nil {
		return notProtocol(err.Error())
	}
	if op == opContinuation && p.frags >= maxFragments && int(p.frags-maxFragments) >= len(p.msg)/fragmentSize {
		return errFragments
	}
	return nil
}

func (p *parser) length() (n uint64, minimal bool) {
	switch short := p.hdr[1] &^ bitMask; short {
	case 126:
		n = uint64(binary.BigEndian.Uint16(p.hdr[2:]))
		return n, n > 125
	case 127:
		n = binary.BigEndian.Uint64(p.hdr[2:])
		return n, n > 0xffff
	default:
		return uint64(short), true
	}
}

func (p *parser) checkLength(limit int) *violation {
	n, minimal := p.length()
	if p.deflated && p.msgOp != 0 || p.hdr[0]&bitRSV1 != 0 {
		limit += deflateSlack
	}
	switch {
	case n>>63 != 0:
		return notProtocol("length with its highest bit set")
	case !minimal:
		return notProtocol("length is not in its shortest form")
	case p.hdr[0]&bitsOp < opClose && n > uint64(max(limit-len(p.msg), maxDiscarded)):
		return errHuge
	case p.hdr[0]&bitsOp < opClose && n > uint64(limit-len(p.msg)):
		return errTooBig
	}
	return nil
}

func (p *parser) startFrame(lengthEnd uint8) {
	n, _ := p.length()
	p.op, p.fin = p.hdr[0]&bitsOp, p.hdr[0]&bitFIN != 0
	p.mask = [4]byte(p.hdr[lengthEnd:])
	p.off, p.left = 0, int(n)
	p.inFrame, p.nhdr, p.nctl = true, 0, 0
	if p.op >= opClose {
		return
	}
	if p.op != opContinuation {
		p.msgOp, p.frags, p.deflated = p.op, 0, p.hdr[0]&bitRSV1 != 0
	}
	p.frags++
}

func (p *parser) payload(chunk []byte, limit int) *violation {
	gobwas.Cipher(chunk, p.mask, p.off)
	if p.op >= opClose {
		p.nctl += uint8(copy(p.ctl[p.nctl:], chunk))
	} else {
		p.keep(chunk, limit)
	}
	p.off += len(chunk)
	p.left -= len(chunk)
	if p.op < opClose && p.msgOp == byte(Text) && !p.deflated && !p.textOK(p.fin && p.left == 0) {
		return notUTF8("text is not UTF-8")
	}
	return nil
}

// keep appends to the message. Its room grows with what has come, to exactly
// the declared length and never by the declaration alone; it is never twice
// what has come, since payloads stay in logs for long.
func (p *parser) keep(chunk []byte, limit int) {
	need := len(p.msg) + len(chunk)
	if need > cap(p.msg) {
		most := limit
		if p.fin {
			most = len(p.msg) + p.left
		}
		grown := make([]byte, len(p.msg), max(need, min(2*cap(p.msg), most)))
		copy(grown, p.msg)
		p.msg = grown
	}
	p.msg = append(p.msg, chunk...)
}

// complete is called at the end of each frame.
func (p *parser) complete() event {
	switch {
	case p.op == opPing:
		return event{kind: evPing, payload: p.ctl[:p.nctl]}
	case p.op == opPong:
		return event{kind: evPong}
	case p.op == opClose:
		return p.closeFrame()
	case !p.fin:
		return event{}
	}
	ev := event{kind: evMessage, op: Op(p.msgOp), deflated: p.deflated, payload: p.msg}
	if ev.payload == nil {
		ev.payload = []byte{}
	}
	p.msgOp, p.deflated, p.frags, p.msg, p.valid = 0, false, 0, nil, 0
	return ev
}

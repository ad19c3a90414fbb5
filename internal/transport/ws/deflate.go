package ws

import (
	"bytes"
	"compress/flate"
	"io"
	"sync"
	"unicode/utf8"

	"magpie/internal/fault"
)

const (
	bitRSV1 = 0x40 // the message is deflated (RFC 7692 section 6)
	// leastDeflated is the shortest payload worth the work of both sides.
	leastDeflated = 256
	// deflateSlack is how much longer than a message its deflated form may be:
	// what cannot be compressed is stored, with 5 octets for each 64 KB.
	deflateSlack = 1024
)

// syncTail ends a deflated message and is not sent (RFC 7692 section 7.2.1). What
// inflates it gets a last, empty block, too: then it ends without an error exactly
// when the message stands between two blocks.
const (
	syncTail = "\x00\x00\xff\xff"
	lastTail = syncTail + "\x01\x00\x00\xff\xff"
)

// deflater is 1.2 MB, so there are as many as messages are made at once.
type deflater struct {
	out bytes.Buffer
	w   *flate.Writer
}

var deflaters = sync.Pool{New: func() any {
	d := new(deflater)
	d.w, _ = flate.NewWriter(&d.out, flate.BestSpeed) // fails for no level that there is
	return d
}}

// DeflatedFrame is Frame for connections with permessage-deflate: the payload is
// deflated where that makes it shorter. Nothing secret may be in it beside what
// others have written: its length would tell of both (RFC 7692 section 8).
func DeflatedFrame(op Op, payload []byte) []byte {
	if len(payload) < leastDeflated {
		return Frame(op, payload)
	}
	d := deflaters.Get().(*deflater)
	defer deflaters.Put(d)
	d.out.Reset()
	d.w.Reset(&d.out)
	d.w.Write(payload) // into memory: these do not fail
	d.w.Flush()
	short := bytes.TrimSuffix(d.out.Bytes(), []byte(syncTail))
	if len(short) >= len(payload) {
		return Frame(op, payload)
	}
	frame := appendHeader(make([]byte, 0, len(short)+headerSize(len(short))), byte(op)|bitRSV1, len(short))
	return append(frame, short...)
}

// inflater is 80 KB, 32 of them for what comes out before it is kept.
type inflater struct {
	in  deflated
	r   io.ReadCloser // a flate.Resetter
	buf [32 << 10]byte
}

var inflaters = sync.Pool{New: func() any {
	z := new(inflater)
	z.r = flate.NewReader(&z.in)
	return z
}}

// deflated is a message that is read octet by octet, and then lastTail.
type deflated struct {
	msg  []byte
	tail string
}

// ReadByte implements io.ByteReader: flate takes no octet more than it needs.
func (d *deflated) ReadByte() (b byte, err error) {
	switch {
	case len(d.msg) > 0:
		b, d.msg = d.msg[0], d.msg[1:]
	case d.tail != "":
		b, d.tail = d.tail[0], d.tail[1:]
	default:
		err = io.EOF
	}
	return b, err
}

// Read implements io.Reader.
func (d *deflated) Read(b []byte) (int, error) {
	if n := copy(b, d.msg); n > 0 {
		d.msg = d.msg[n:]
		return n, nil
	}
	n := copy(b, d.tail)
	if d.tail = d.tail[n:]; n == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// inflate returns what a message was before it was deflated. It reads no further
// than limit, and reserves no more than twice what has come out.
func inflate(op Op, msg []byte, limit int) ([]byte, *violation) {
	z := inflaters.Get().(*inflater)
	defer func() {
		z.in = deflated{}
		inflaters.Put(z)
	}()
	z.in = deflated{msg, lastTail}
	_ = z.r.(flate.Resetter).Reset(&z.in, nil) // never fails
	out := []byte{}
	for {
		n, err := z.r.Read(z.buf[:])
		if len(out)+n > limit {
			return nil, errInflated
		}
		out = append(out, z.buf[:n]...)
		switch {
		case err == io.EOF && z.in.ended():
			if op == Text && !utf8.Valid(out) {
				return nil, notUTF8("text is not UTF-8")
			}
			return bytes.Clone(out), nil // payloads stay in logs for long, without the room to grow
		case err != nil:
			return nil, errDeflated
		}
	}
}

// ended tells, behind the last block, whether that was the end of the message. A
// message may end with a last block of its own, and then the octet of an empty one
// (RFC 7692 section 7.2.3.4).
func (d *deflated) ended() bool {
	return d.tail == "" || len(d.msg) == 0 && d.tail == lastTail || len(d.msg) == 1 && d.msg[0] == 0
}

var (
	errDeflated = notUTF8("message cannot be inflated") // RFC 6455 section 7.4.1: data that its type does not allow
	errInflated = &violation{fault.ReasonTooBig, codeTooBig, "message is over the limit once inflated", false}
)

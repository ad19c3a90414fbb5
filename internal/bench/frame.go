package bench

import (
	"encoding/binary"
	"errors"
)

// The client's side of RFC 6455, no more than a load needs: whole frames in
// one piece, no extensions.

const (
	opContinue = 0
	opText     = 1
	opBinary   = 2
	opClose    = 8
	opPing     = 9
	opPong     = 10
)

// maxFrame bounds what a server can make a client keep.
const maxFrame = 16 << 20

var errFrame = errors.New("the server sent what is no WebSocket frame")

// appendFrame appends a client's frame. The mask is zero: the RFC wants one
// that nobody can foresee, against pages that trick proxies; here no page
// chooses the payload, and the key costs nothing on either side.
func appendFrame(dst []byte, op byte, payload []byte) []byte {
	const fin, masked = 0x80, 0x80
	dst = append(dst, fin|op)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, masked|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, masked|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, masked|127), uint64(n))
	}
	dst = append(dst, 0, 0, 0, 0)
	return append(dst, payload...)
}

// readFrame takes a server's frame off data; size is 0 as long as it is not
// there in full. The payload is part of data.
func readFrame(data []byte) (op byte, payload []byte, size int, err error) {
	if len(data) < 2 {
		return
	}
	if data[0]&0x70 != 0 || data[1]&0x80 != 0 {
		return 0, nil, 0, errFrame // an extension, or a mask
	}
	head, n := 2, uint64(data[1]&127)
	switch {
	case n == 126 && len(data) >= 4:
		head, n = 4, uint64(binary.BigEndian.Uint16(data[2:]))
	case n == 127 && len(data) >= 10:
		head, n = 10, binary.BigEndian.Uint64(data[2:])
	case n > 125:
		return
	}
	if n > maxFrame {
		return 0, nil, 0, errFrame
	}
	if uint64(len(data)-head) < n {
		return
	}
	size = head + int(n)
	return data[0] & 15, data[head:size], size, nil
}

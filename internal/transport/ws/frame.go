package ws

import (
	"encoding/binary"

	gobwas "github.com/gobwas/ws"
)

// Op is the type of a message.
type Op byte

// The two types of message (RFC 6455 section 5.6).
const (
	Text   = Op(gobwas.OpText)
	Binary = Op(gobwas.OpBinary)
)

// Opcodes that doors do not see.
const (
	opContinuation = byte(gobwas.OpContinuation)
	opClose        = byte(gobwas.OpClose)
	opPing         = byte(gobwas.OpPing)
	opPong         = byte(gobwas.OpPong)
)

// Bits of a frame's first two octets (RFC 6455 section 5.2).
const (
	bitFIN  = 0x80
	bitsRSV = 0x70
	bitsOp  = 0x0f
	bitMask = 0x80
)

// maxControl is the longest payload of a control frame (RFC 6455 section 5.5).
const maxControl = gobwas.MaxControlFramePayloadSize

// Frame returns payload as one whole server frame, header included. Make it
// once and share it: nothing in this package changes it.
func Frame(op Op, payload []byte) []byte {
	return AppendFrame(make([]byte, 0, len(payload)+headerSize(len(payload))), op, payload)
}

// AppendFrame appends one whole server frame (FIN set, unmasked) to dst.
func AppendFrame(dst []byte, op Op, payload []byte) []byte {
	return append(appendHeader(dst, byte(op), len(payload)), payload...)
}

func headerSize(n int) int { return gobwas.HeaderSize(gobwas.Header{Length: int64(n)}) }

func appendHeader(dst []byte, op byte, n int) []byte {
	dst = append(dst, bitFIN|op)
	switch headerSize(n) {
	case 2:
		return append(dst, byte(n))
	case 4:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
}

// appendClose appends a close frame; code 0 makes one without a payload.
func appendClose(dst []byte, code uint16, text string) []byte {
	if code == 0 {
		return appendHeader(dst, opClose, 0)
	}
	dst = appendHeader(dst, opClose, 2+len(text))
	return append(binary.BigEndian.AppendUint16(dst, code), text...)
}

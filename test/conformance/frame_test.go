package conformance

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// Opcodes (RFC 6455 section 5.2) and the bits beside them in the first octet.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA

	fin  = 0x80
	rsv1 = 0x40
	rsv2 = 0x20
	rsv3 = 0x10
)

// frame is what a server sends: whole, unmasked, without reserved bits.
type frame struct {
	op      byte
	payload string
}

func (f frame) String() string {
	if f.op == opClose && len(f.payload) >= 2 {
		return fmt.Sprintf("close %d %q", binary.BigEndian.Uint16([]byte(f.payload)), f.payload[2:])
	}
	if len(f.payload) > 40 {
		return fmt.Sprintf("opcode %d with %d octets", f.op, len(f.payload))
	}
	return fmt.Sprintf("opcode %d %q", f.op, f.payload)
}

var mask = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// masked is a client's frame with its length in the shortest form.
func masked(first byte, payload string) []byte {
	head := []byte{first}
	switch n := len(payload); {
	case n < 126:
		head = append(head, 0x80|byte(n))
	case n <= 0xffff:
		head = binary.BigEndian.AppendUint16(append(head, 0x80|126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 0x80|127), uint64(n))
	}
	return withMask(head, mask, payload)
}

// withMask puts the mask and the masked payload behind a header.
func withMask(head []byte, mask [4]byte, payload string) []byte {
	out := slices.Concat(head, mask[:], []byte(payload))
	masked := out[len(head)+len(mask):]
	whole := binary.LittleEndian.Uint32(mask[:])
	for len(masked) >= 4 { // messages of megabytes, under the race detector
		binary.LittleEndian.PutUint32(masked, binary.LittleEndian.Uint32(masked)^whole)
		masked = masked[4:]
	}
	for i := range masked {
		masked[i] ^= mask[i]
	}
	return out
}

func text(payload string) []byte { return masked(fin|opText, payload) }
func bin(payload string) []byte  { return masked(fin|opBinary, payload) }
func ping(payload string) []byte { return masked(fin|opPing, payload) }
func pong(payload string) []byte { return masked(fin|opPong, payload) }

// bye is a close frame with a status code and a reason.
func bye(code uint16, reason string) []byte { return masked(fin|opClose, closing(code)+reason) }

func closing(code uint16) string { return string(binary.BigEndian.AppendUint16(nil, code)) }

// pieces are the frames of one message, of size octets each.
func pieces(op byte, message string, size int) (frames [][]byte) {
	for at := 0; at == 0 || at < len(message); at += size {
		end := min(at+size, len(message))
		first := byte(opContinuation)
		if at == 0 {
			first = op
		}
		if end == len(message) {
			first |= fin
		}
		frames = append(frames, masked(first, message[at:end]))
	}
	return frames
}

// readFrame takes one frame and holds the server to what RFC 6455 section 5
// asks of its side.
func readFrame(r *bufio.Reader) (frame, error) {
	var h [2]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return frame{}, err
	}
	if h[0]&(fin|rsv1|rsv2|rsv3) != fin || h[1]&0x80 != 0 {
		return frame{}, fmt.Errorf("the server sent a frame that begins with %x", h)
	}
	n, err := readLength(r, h[1])
	if err != nil {
		return frame{}, err
	}
	payload := make([]byte, n)
	_, err = io.ReadFull(r, payload)
	return frame{h[0] & 0xf, string(payload)}, err
}

func readLength(r *bufio.Reader, short byte) (int, error) {
	var b [8]byte
	least := uint64(0)
	switch short {
	case 126:
		least = 126
		_, err := io.ReadFull(r, b[6:])
		if err != nil {
			return 0, err
		}
	case 127:
		least = 1 << 16
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return 0, err
		}
	default:
		return int(short), nil
	}
	n := binary.BigEndian.Uint64(b[:])
	if n < least || n > 64<<20 {
		return 0, fmt.Errorf("the server sent a length of %d in the form %d", n, short)
	}
	return int(n), nil
}

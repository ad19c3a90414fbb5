package wire

import (
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"magpie/internal/message"
)

// Decimal reads digits only: no sign, no space.
func Decimal(s string) (uint64, error) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	return strconv.ParseUint(s, 10, 64)
}

// IsWord tells whether s may stand between the spaces of a header.
func IsWord(s string) bool {
	if s == "" || len(s) > message.MaxEpoch {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

// internVia keeps the known words from holding a message's bytes alive.
func internVia(s string) message.Via {
	switch v := message.Via(s); v {
	case message.ViaHTTP:
		return message.ViaHTTP
	case message.ViaRaw:
		return message.ViaRaw
	case message.ViaPlain:
		return message.ViaPlain
	case message.ViaFcall:
		return message.ViaFcall
	case message.ViaXadd:
		return message.ViaXadd
	case message.ViaSDK:
		return message.ViaSDK
	}
	return message.Via(strings.Clone(s))
}

// Bytes is s without a copy. The client hands out each reply as a string
// over bytes of its own, and a message's payload is never changed, so the two
// may share them. The capacity ends with the payload: an append copies.
func Bytes(s string) []byte {
	return unsafe.Slice(unsafe.StringData(s), len(s))
}

// String is b without a copy, for a command's argument: an engine owns the
// payload that it was given.
func String(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b))
}

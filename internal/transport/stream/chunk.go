package stream

import "strconv"

// chunk is a chunk of the body (RFC 9112 section 7.1) that is written in part:
// size octets, of which, with the lines around them, done are out.
// The zero value is none.
type chunk struct{ size, done uint32 }

// chunkLines is more than the lines around a chunk of up to 64 KB take.
const chunkLines = 8

// start makes a chunk of size octets, size over 0.
func (k *chunk) start(size int) { *k = chunk{size: uint32(size)} }

func (k *chunk) open() bool { return k.size > 0 }

// left is how many of its octets have still to be written.
func (k *chunk) left() int { return int(k.size) - k.octets(int(k.done)) }

// octets is how many of the chunk's own octets are among its first n with the
// line before them.
func (k *chunk) octets(n int) int { return min(max(n-hexDigits(k.size)-2, 0), int(k.size)) }

// appendHead appends what is left of the line before the octets.
func (k *chunk) appendHead(b []byte) []byte {
	var line [chunkLines + 2]byte
	head := append(strconv.AppendUint(line[:0], uint64(k.size), 16), "\r\n"...)
	return append(b, head[min(int(k.done), len(head)):]...)
}

// appendTail appends what is left of the line end behind them.
func (k *chunk) appendTail(b []byte) []byte {
	out := max(int(k.done)-hexDigits(k.size)-2-int(k.size), 0)
	return append(b, "\r\n"[out:]...)
}

// wrote notes that n octets more are out, lines included, and returns how many
// of them were the chunk's own. A chunk of which nothing is out is none.
func (k *chunk) wrote(n int) (own int) {
	before := k.octets(int(k.done))
	k.done += uint32(n)
	own = k.octets(int(k.done)) - before
	if k.done == 0 || int(k.done) == hexDigits(k.size)+2+int(k.size)+2 {
		*k = chunk{}
	}
	return own
}

func hexDigits(n uint32) int {
	digits := 1
	for n >>= 4; n > 0; n >>= 4 {
		digits++
	}
	return digits
}

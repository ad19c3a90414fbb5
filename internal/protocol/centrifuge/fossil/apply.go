package fossil

import (
	"bytes"
	"errors"
)

// ErrFormat is what Apply's errors wrap: not a delta, or not one for this
// source.
var ErrFormat = errors.New("not a delta for this source")

// Apply returns what delta turns source into, which must not be longer than
// limit. Neither slice is kept or changed.
func Apply(source, delta []byte, limit int) ([]byte, error) {
	r := reader{rest: delta}
	size := int(r.int())
	if r.byte() != '\n' || r.bad || size > limit {
		return nil, ErrFormat
	}
	out := make([]byte, 0, min(size, len(source)+len(delta)))
	for {
		n := int(r.int())
		switch op := r.byte(); {
		case r.bad:
			return nil, ErrFormat
		case op == '@':
			from := int(r.int())
			if r.byte() != ',' || r.bad || from+n > len(source) || len(out)+n > size {
				return nil, ErrFormat
			}
			out = append(out, source[from:from+n]...)
		case op == ':':
			if n > len(r.rest) || len(out)+n > size {
				return nil, ErrFormat
			}
			out = append(out, r.rest[:n]...)
			r.rest = r.rest[n:]
		case op == ';' && len(out) == size && uint32(n) == Checksum(out) && len(r.rest) == 0:
			return out, nil
		default:
			return nil, ErrFormat
		}
	}
}

// reader reads the parts of a delta.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		r.bad = true
		return 0
	}
	c := r.rest[0]
	r.rest = r.rest[1:]
	return c
}

// int reads a number of at most 32 bits.
func (r *reader) int() uint32 {
	var v uint64
	for n := 0; len(r.rest) > 0; n++ {
		d := bytes.IndexByte([]byte(digits), r.rest[0])
		if d < 0 {
			break
		}
		v = v<<6 | uint64(d)
		if v > 1<<32-1 {
			r.bad = true
			return 0
		}
		r.rest = r.rest[1:]
	}
	return uint32(v)
}

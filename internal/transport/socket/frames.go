package socket

// Frames are what a write still has to write: whole frames, but the first, of
// which a part may be written.
type Frames struct {
	list [][]byte
	off  int // written of list[0]
}

// NewFrames returns Frames over list, which is not changed.
func NewFrames(list [][]byte) Frames { return Frames{list: list} }

// First is the rest of the first frame, nil when all is written.
func (f *Frames) First() []byte {
	if len(f.list) == 0 {
		return nil
	}
	return f.list[0][f.off:]
}

// Len is the number of octets that are left, at most most.
func (f *Frames) Len(most int) int {
	n := -f.off
	for _, frame := range f.list {
		if n += len(frame); n >= most {
			return most
		}
	}
	return max(n, 0)
}

// Append appends the next n octets, or all if they are fewer.
func (f *Frames) Append(dst []byte, n int) []byte {
	off := f.off
	for _, frame := range f.list {
		part := frame[off:]
		part = part[:min(n, len(part))]
		dst, n, off = append(dst, part...), n-len(part), 0
		if n == 0 {
			break
		}
	}
	return dst
}

// Advance takes off the n octets that were written. It tells whether the next
// one begins a frame.
func (f *Frames) Advance(n int) (boundary bool) {
	f.off += n
	for len(f.list) > 0 && f.off >= len(f.list[0]) {
		f.off -= len(f.list[0])
		f.list = f.list[1:]
	}
	return f.off == 0
}

package socket

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// However many octets are written at a time, all come once and in order, and
// the boundaries are those of the frames.
func TestFramesInParts(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var list [][]byte
		ends := map[int]bool{}
		var want []byte
		for i := range dice.IntN(6) {
			list = append(list, bytes.Repeat([]byte{byte('a' + i)}, dice.IntN(9)))
			want = append(want, list[i]...)
			ends[len(want)] = true
		}
		f := NewFrames(list)
		var got []byte
		for len(got) < len(want) {
			most := 1 + dice.IntN(12)
			out := f.Append(nil, most)
			if left := len(want) - len(got); len(out) != min(most, left) || f.Len(most) != min(most, left) || f.Len(1000) != left {
				t.Fatalf("%d octets of %d, %d left", len(out), most, left)
			}
			if !bytes.HasPrefix(f.First(), out[:min(len(out), len(f.First()))]) {
				t.Fatalf("first %q, next %q", f.First(), out)
			}
			n := 1 + dice.IntN(len(out))
			got = append(got, out[:n]...)
			if f.Advance(n) != ends[len(got)] {
				t.Fatalf("after %d octets of %q: not the boundary", len(got), list)
			}
		}
		if f.Advance(0); !bytes.Equal(got, want) || f.Len(1) != 0 || f.First() != nil {
			t.Fatalf("%q, want %q", got, want)
		}
	}
}

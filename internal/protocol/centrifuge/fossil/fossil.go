// Package fossil writes differences between two byte strings in the delta format of the Fossil version control system
// (https://fossil-scm.org/home/doc/tip/www/delta_format.wiki), which Centrifuge
// clients read.
//
// It keeps nothing and starts no goroutine.
package fossil

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// block is the length of the pieces of the source that are looked for in the
// target: shorter common parts are not found.
const block = 16

// tries bounds how many places of the source are compared at one place of the
// target, so that input made of one repeated byte costs no more than any other.
const tries = 32

// Delta returns what turns source into target. With text, both must be UTF-8
// and so is the delta: nothing is cut inside a character. It costs time and
// memory linear in the two lengths. Neither slice is kept or changed.
func Delta(source, target []byte, text bool) []byte {
	out := make([]byte, 0, 64+len(target)/8)
	out = append(appendInt(out, uint32(len(target))), '\n')
	w := writer{out: out, target: target}
	if len(source) > block {
		w.scan(source, text)
	}
	w.insert(len(target))
	return append(appendInt(w.out, Checksum(target)), ';')
}

// writer appends commands that make target[:done] so far.
type writer struct {
	out    []byte
	target []byte
	done   int
}

// insert writes target up to a place literally.
func (w *writer) insert(to int) {
	if to > w.done {
		w.out = append(appendInt(w.out, uint32(to-w.done)), ':')
		w.out = append(w.out, w.target[w.done:to]...)
		w.done = to
	}
}

// copy writes what lies before literally, then n bytes of the source.
func (w *writer) copy(at, from, n int) {
	w.insert(at)
	w.out = append(appendInt(w.out, uint32(n)), '@')
	w.out = append(appendInt(w.out, uint32(from)), ',')
	w.done += n
}

// match is a common part: source[from:from+n] is target[at:at+n].
type match struct{ at, from, n int }

// scan walks over the target with a rolling hash and copies what it finds.
func (w *writer) scan(source []byte, text bool) {
	index := newIndex(source)
	for at := 0; at+block <= len(w.target); {
		var h hash
		h.begin(w.target[at:])
		found := false
		for ; at+block <= len(w.target); at++ {
			if m, ok := index.find(h.sum(), w.target, at, w.done, text); ok {
				w.copy(m.at, m.from, m.n)
				at, found = m.at+m.n, true
				break
			}
			if at+block < len(w.target) {
				h.roll(w.target[at], w.target[at+block])
			}
		}
		if !found {
			return
		}
	}
}

// index finds blocks of the source by their hash.
type index struct {
	source []byte
	first  []int32 // by hash: 1 + the number of a block
	next   []int32 // by block: 1 + the number of the next one with this hash
	mask   uint32
}

func newIndex(source []byte) *index {
	blocks := len(source) / block
	size := 1 << bits.Len(uint(blocks))
	x := &index{source: source, first: make([]int32, size), next: make([]int32, blocks), mask: uint32(size - 1)}
	for i := blocks - 1; i >= 0; i-- { // so that the first block of several is found first
		var h hash
		h.begin(source[i*block:])
		slot := mix(h.sum()) & x.mask
		x.next[i] = x.first[slot]
		x.first[slot] = int32(i + 1)
	}
	return x
}

// find returns the longest common part around target[at:], which begins at
// done or later.
func (x *index) find(sum uint32, target []byte, at, done int, text bool) (best match, ok bool) {
	left := tries
	for i := x.first[mix(sum)&x.mask]; i > 0 && left > 0; i = x.next[i-1] {
		left--
		m := x.grow(int(i-1)*block, target, at, done)
		if text {
			m = m.trim(target)
		}
		if m.n > best.n {
			best = m
		}
	}
	// What a copy saves must be more than what it takes to say it.
	return best, best.n >= block
}

// grow makes a common part as long as it is, backwards too.
func (x *index) grow(from int, target []byte, at, done int) match {
	n := 0
	for from+n < len(x.source) && at+n < len(target) && x.source[from+n] == target[at+n] {
		n++
	}
	if n < block {
		return match{}
	}
	for from > 0 && at > done && x.source[from-1] == target[at-1] {
		from, at, n = from-1, at-1, n+1
	}
	return match{at, from, n}
}

// trim shortens a common part to whole characters.
func (m match) trim(target []byte) match {
	for m.n > 0 && !utf8.RuneStart(target[m.at]) {
		m.at, m.from, m.n = m.at+1, m.from+1, m.n-1
	}
	for m.n > 0 && m.at+m.n < len(target) && !utf8.RuneStart(target[m.at+m.n]) {
		m.n--
	}
	return m
}

// hash is a sum over a window of one block that moves on by a byte at a time.
type hash struct{ a, b uint16 }

func (h *hash) begin(p []byte) {
	h.a, h.b = 0, 0
	for i, c := range p[:block] {
		h.a += uint16(c)
		h.b += uint16(block-i) * uint16(c)
	}
}

func (h *hash) roll(out, in byte) {
	h.a += uint16(in) - uint16(out)
	h.b += h.a - uint16(block)*uint16(out)
}

func (h *hash) sum() uint32 { return uint32(h.a) | uint32(h.b)<<16 }

func mix(sum uint32) uint32 {
	sum *= 0x9e3779b1
	return sum ^ sum>>15
}

// Checksum is the format's sum of 32-bit big-endian words.
func Checksum(p []byte) uint32 {
	var sum uint32
	for len(p) >= 4 {
		sum += binary.BigEndian.Uint32(p)
		p = p[4:]
	}
	for i, c := range p {
		sum += uint32(c) << (24 - 8*i)
	}
	return sum
}

// digits are the format's sixty-four.
const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"

func appendInt(dst []byte, v uint32) []byte {
	var buf [6]byte
	i := len(buf)
	for {
		i--
		buf[i] = digits[v&63]
		v >>= 6
		if v == 0 {
			return append(dst, buf[i:]...)
		}
	}
}

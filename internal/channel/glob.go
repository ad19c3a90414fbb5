package channel

import (
	"fmt"
	"unicode/utf8"
)

// CheckGlob tells whether pattern is a glob over channel names: characters
// that a name may hold, * for any run of them and ? for any one.
func CheckGlob(pattern string) error {
	if pattern == "" || len(pattern) > MaxName || !utf8.ValidString(pattern) {
		return fmt.Errorf("a match pattern has 1 to %d bytes of UTF-8, such as chat or news:*", MaxName)
	}
	for _, r := range pattern {
		if r != '*' && r != '?' && !allowed(r) {
			return fmt.Errorf("a match pattern holds the characters of channel names, * and ?, not %U", r)
		}
	}
	return nil
}

// Match tells whether name matches the glob. Time is O(len(pattern)·len(name))
// at worst, without recursion: on a mismatch only the last * is tried further.
func Match(pattern, name string) bool {
	p, n := 0, 0
	star, resume := -1, 0
	for n < len(name) {
		_, width := utf8.DecodeRuneInString(name[n:])
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, n
			p++
		case p < len(pattern) && pattern[p] == '?':
			p++
			n += width
		case p < len(pattern) && pattern[p] == name[n]:
			p++
			n++
		case star >= 0:
			resume++
			p, n = star+1, resume
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// Covers tells whether pattern surely matches every name that other matches.
// False means that it cannot tell: "?*" and "*?" match the same names and are
// not seen through.
func Covers(pattern, other string) bool {
	p, o := 0, 0
	star, resume := -1, 0
	for o < len(other) {
		_, width := utf8.DecodeRuneInString(other[o:])
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, o
			p++
		case p < len(pattern) && pattern[p] == '?' && other[o] != '*':
			p++
			o += width
		case p < len(pattern) && pattern[p] == other[o]: // neither is a *, so these are one character
			p++
			o++
		case star >= 0:
			resume++
			p, o = star+1, resume
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// Package spelling finds the word that was meant: the flag, setting or
// parameter nearest to one that does not exist.
//
// It never corrects anything by itself, and it starts no goroutine.
package spelling

import "strings"

// Nearest returns the known word that is closest to what was written, or ""
// when none is close enough to be meant. Case, '-', '_' and '.' are the same
// to it, because the three sources write names differently.
func Nearest(written string, known []string) string {
	w := fold(written)
	best, least := "", max(2, len(w)/2)+1
	for _, k := range known {
		d := distance(w, fold(k))
		if len(w) >= 4 && strings.Contains(fold(k), w) || len(k) >= 4 && strings.HasPrefix(w, fold(k)) {
			d = 1 // "secret" means token_secret, however much longer that is, and "address" addr
		}
		if len(k) >= 4 && beginsLike(w, fold(k)) {
			d = min(d, 2) // "adress" does, too
		}
		if d < least {
			best, least = k, d
		}
	}
	return best
}

func fold(s string) string {
	return strings.NewReplacer("-", "_", ".", "_").Replace(strings.ToLower(s))
}

// beginsLike tells whether a begins with b, or with b but for one character.
func beginsLike(a, b string) bool {
	for n := len(b) - 1; n <= len(b) && n < len(a); n++ {
		if distance(a[:n], b) <= 1 {
			return true
		}
	}
	return false
}

// distance is the number of insertions, deletions, replacements and swaps of
// adjacent bytes that lead from a to b.
func distance(a, b string) int {
	before, last, now := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		now[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			now[j] = min(last[j]+1, now[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
		before, last, now = last, now, before
	}
	return last[len(b)]
}

// Package channel says what a channel may be called and which rules hold in
// it: how long its log is, whether it shows presence, who may do what.
//
// It holds no channel's state, does no I/O and starts no goroutine.
package channel

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"magpie/internal/fault"
)

// MaxName is the longest channel name in bytes. It keeps every Redis key and
// every log line that carries a name short.
const MaxName = 255

const punctuation = "-_:.,;=#$@/+~!"

// Check tells whether name may name a channel: 1 to MaxName bytes of UTF-8
// letters, digits and -_:.,;=#$@/+~! and nothing else. Names are compared
// byte for byte. The characters left out are those that mean something to
// Redis patterns and cluster hash tags, to shells and to log files. The error is
// a fault of kind BadChannel.
func Check(name string) error {
	switch {
	case name == "":
		return badName("it is empty; give a name such as chat or news:sport")
	case len(name) > MaxName:
		return badName("it has %d bytes and %d is the most", len(name), MaxName)
	case !utf8.ValidString(name):
		return badName("it is not valid UTF-8")
	}
	for _, r := range name {
		if !allowed(r) {
			return badName("it holds the character %U; use letters, digits and %s", r, punctuation)
		}
	}
	return nil
}

func badName(format string, args ...any) error {
	return fault.Newf(fault.BadChannel, "channel name not allowed: "+format, args...)
}

func allowed(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(punctuation, r)
	}
	// Marks belong to letters in many scripts (Hindi, Thai, decomposed Latin).
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

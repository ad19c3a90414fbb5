// Package channel says what a channel may be called and which rules hold in
// it: how long its log is, whether it shows presence, who may do what.
//
// It holds no channel's state, does no I/O and starts no goroutine.
package channel

import (
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// MaxName is the longest channel name in bytes. It keeps every Redis key and
// every log line that carries a name short.
const MaxName = 255

// ErrName is what Check's errors wrap.
var ErrName = errors.New("channel name not allowed")

const punctuation = "-_:.,;=#$@/+~!"

// Check tells whether name may name a channel: 1 to MaxName bytes of UTF-8
// letters, digits and -_:.,;=#$@/+~! and nothing else. Names are compared
// byte for byte. The characters left out are those that mean something to
// Redis patterns and cluster hash tags, to shells and to log files.
func Check(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty; give a name such as chat or news:sport", ErrName)
	case len(name) > MaxName:
		return fmt.Errorf("%w: it has %d bytes and %d is the most", ErrName, len(name), MaxName)
	case !utf8.ValidString(name):
		return fmt.Errorf("%w: it is not valid UTF-8", ErrName)
	}
	for _, r := range name {
		if !allowed(r) {
			return fmt.Errorf("%w: it holds the character %U; use letters, digits and %s", ErrName, r, punctuation)
		}
	}
	return nil
}

func allowed(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || isPunctuation(byte(r))
	}
	// Marks belong to letters in many scripts (Hindi, Thai, decomposed Latin).
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

func isPunctuation(c byte) bool {
	for i := range len(punctuation) {
		if punctuation[i] == c {
			return true
		}
	}
	return false
}

// Package wire is the form of what travels and lies in Redis: envelopes on live
// names and entries of logs. It is a public contract, docs/redis.md.
//
// It does no I/O and starts no goroutine.
package wire

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"magpie/internal/message"
)

// What travels on a channel's live name is an envelope (docs/redis.md):
//
//	m1 OFFSET EPOCH TIME VIA METALEN\nMETA PAYLOAD   a message
//	j1 0 - TIME VIA METALEN\nMETA PAYLOAD            somebody joined: META says who
//	l1 0 - TIME VIA METALEN\nMETA PAYLOAD            somebody left
//	f1 NODE TOKEN                                    a fence: NODE took the lease for plain PUBLISH
//	r1 NODE                                          NODE gave that lease back
//	w1 NODE                                          NODE wants that lease
//	x1 EPOCH                                         the log was removed
//
// (no space between META and PAYLOAD). The digit is the version of the form.

// ErrUnknown: a form of a later version. It is skipped and counted,
// because the log is the truth and tells the gap.
var ErrUnknown = errors.New("envelope of an unknown form")

// ErrBroken: a form of this version that does not hold together.
var ErrBroken = errors.New("broken envelope")

// Kind is what an envelope holds.
type Kind byte

// The kinds.
const (
	KindMessage Kind = 'm'
	KindFence   Kind = 'f'
	KindRelease Kind = 'r'
	KindWant    Kind = 'w'
	KindRemoved Kind = 'x'
)

// Envelope is one that was read. Which fields are set depends on its kind.
type Envelope struct {
	Kind    Kind
	Message *message.Message // KindMessage
	Node    string           // KindFence, KindRelease, KindWant
	Token   string           // KindFence
	Epoch   string           // KindRemoved
}

// maxHeader bounds the search for the header's end: 5 numbers and words.
const maxHeader = 256

// Decode reads an envelope that came under a channel's live name. What it
// returns shares s.
func Decode(channel, s string) (Envelope, error) {
	head, _, lined := strings.Cut(s[:min(len(s), maxHeader)], "\n")
	switch word, rest, _ := strings.Cut(head, " "); {
	case word != "m1" && word != "j1" && word != "l1":
		return decodeNotice(head, lined)
	case !lined:
		return Envelope{}, fmt.Errorf("%w: no line end within %d bytes", ErrBroken, maxHeader)
	default:
		return decodeMessage(channel, kindOf(word), rest, s[len(head)+1:])
	}
}

// decodeNotice reads what is no message: words alone.
func decodeNotice(head string, lined bool) (Envelope, error) {
	f := strings.Split(head, " ")
	whole := !lined && !slices.Contains(f, "")
	switch f[0] {
	default:
		return Envelope{}, ErrUnknown
	case "f1":
		if whole && len(f) == 3 {
			return Envelope{Kind: KindFence, Node: f[1], Token: f[2]}, nil
		}
	case "r1":
		if whole && len(f) == 2 {
			return Envelope{Kind: KindRelease, Node: f[1]}, nil
		}
	case "w1":
		if whole && len(f) == 2 {
			return Envelope{Kind: KindWant, Node: f[1]}, nil
		}
	case "x1":
		if whole && len(f) == 2 && IsWord(f[1]) {
			return Envelope{Kind: KindRemoved, Epoch: f[1]}, nil
		}
	}
	return Envelope{}, fmt.Errorf("%w: not the words of %s", ErrBroken, f[0])
}

func kindOf(word string) message.Kind {
	switch word {
	case "j1":
		return message.Join
	case "l1":
		return message.Leave
	}
	return message.Published
}

// EncodeUnlogged writes what has no place in a log and so needs no script.
func EncodeUnlogged(kind message.Kind, time int64, via, meta, payload string) string {
	word := "m1"
	switch kind {
	case message.Join:
		word = "j1"
	case message.Leave:
		word = "l1"
	}
	return fmt.Sprintf("%s 0 - %d %s %d\n%s%s", word, time, via, len(meta), meta, payload)
}

func decodeMessage(channel string, kind message.Kind, head, body string) (Envelope, error) {
	var f [5]string
	for i := range f {
		var more bool
		f[i], head, more = strings.Cut(head, " ")
		if more != (i < len(f)-1) || f[i] == "" {
			return Envelope{}, fmt.Errorf("%w: a message's header has five words after m1", ErrBroken)
		}
	}
	offset, err1 := Decimal(f[0])
	time, err2 := Decimal(f[2])
	size, err3 := Decimal(f[4])
	if err := errors.Join(err1, err2, err3); err != nil {
		return Envelope{}, fmt.Errorf("%w: %w", ErrBroken, err)
	}
	if size > uint64(len(body)) || time > 1<<62 || !IsWord(f[3]) || !IsWord(f[1]) || (offset == 0) != (f[1] == "-") ||
		kind != message.Published && offset != 0 {
		return Envelope{}, fmt.Errorf("%w: its header does not fit", ErrBroken)
	}
	m := &message.Message{Channel: channel, Kind: kind, Payload: Bytes(body[size:]), Time: int64(time), Via: internVia(f[3])}
	if offset != 0 {
		m.Position = message.Position{Epoch: strings.Clone(f[1]), Offset: offset}
	}
	if err := decodeMeta(m, body[:size]); err != nil {
		return Envelope{}, err
	}
	return Envelope{Kind: KindMessage, Message: m}, nil
}

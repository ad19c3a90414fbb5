package redis

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"magpie/internal/message"
)

// What travels on a channel's live name is an envelope (docs/redis.md):
//
//	m1 OFFSET EPOCH TIME VIA METALEN\nMETA PAYLOAD   a message
//	j1 0 - TIME VIA METALEN\nMETA PAYLOAD            somebody began to listen: META says who
//	l1 0 - TIME VIA METALEN\nMETA PAYLOAD            somebody stopped
//	f1 NODE TOKEN                                    a fence: NODE took the lease for plain PUBLISH
//	r1 NODE                                          NODE gave that lease back
//	x1 EPOCH                                         the log was removed
//
// (no space between META and PAYLOAD). The digit is the version of the form.

// errUnknownEnvelope: a form of a later version. It is skipped and counted,
// because the log is the truth and tells the gap.
var errUnknownEnvelope = errors.New("envelope of an unknown form")

// errBrokenEnvelope: a form of this version that does not hold together.
var errBrokenEnvelope = errors.New("broken envelope")

type envelopeKind byte

const (
	kindMessage envelopeKind = 'm'
	kindFence   envelopeKind = 'f'
	kindRelease envelopeKind = 'r'
	kindRemoved envelopeKind = 'x'
)

type envelope struct {
	kind  envelopeKind
	msg   *message.Message // kindMessage
	node  string           // kindFence, kindRelease
	token string           // kindFence
	epoch string           // kindRemoved
}

// maxHeader bounds the search for the header's end: 5 numbers and words.
const maxHeader = 256

func decodeEnvelope(channel, s string) (envelope, error) {
	head, _, lined := strings.Cut(s[:min(len(s), maxHeader)], "\n")
	word, rest, _ := strings.Cut(head, " ")
	switch word {
	case "m1", "j1", "l1":
		if !lined {
			return envelope{}, fmt.Errorf("%w: no line end within %d bytes", errBrokenEnvelope, maxHeader)
		}
		return decodeMessage(channel, kindOf(word), rest, s[len(head)+1:])
	case "f1":
		node, token, ok := strings.Cut(rest, " ")
		if !ok || node == "" || token == "" || strings.Contains(token, " ") || lined {
			return envelope{}, fmt.Errorf("%w: a fence is f1 NODE TOKEN", errBrokenEnvelope)
		}
		return envelope{kind: kindFence, node: node, token: token}, nil
	case "r1":
		if rest == "" || strings.Contains(rest, " ") || lined {
			return envelope{}, fmt.Errorf("%w: a release is r1 NODE", errBrokenEnvelope)
		}
		return envelope{kind: kindRelease, node: rest}, nil
	case "x1":
		if !isWord(rest) || lined {
			return envelope{}, fmt.Errorf("%w: a removal is x1 EPOCH", errBrokenEnvelope)
		}
		return envelope{kind: kindRemoved, epoch: rest}, nil
	}
	return envelope{}, errUnknownEnvelope
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

// encodeUnlogged writes what has no place in a log and so needs no script.
func encodeUnlogged(kind message.Kind, time int64, via, meta, payload string) string {
	word := "m1"
	switch kind {
	case message.Join:
		word = "j1"
	case message.Leave:
		word = "l1"
	}
	return fmt.Sprintf("%s 0 - %d %s %d\n%s%s", word, time, via, len(meta), meta, payload)
}

func decodeMessage(channel string, kind message.Kind, head, body string) (envelope, error) {
	var f [5]string
	for i := range f {
		var more bool
		f[i], head, more = strings.Cut(head, " ")
		if more != (i < len(f)-1) || f[i] == "" {
			return envelope{}, fmt.Errorf("%w: a message's header has five words after m1", errBrokenEnvelope)
		}
	}
	offset, err1 := parseDecimal(f[0])
	time, err2 := parseDecimal(f[2])
	size, err3 := parseDecimal(f[4])
	if err := errors.Join(err1, err2, err3); err != nil {
		return envelope{}, fmt.Errorf("%w: %w", errBrokenEnvelope, err)
	}
	if size > uint64(len(body)) || time > 1<<62 || !isWord(f[3]) || !isWord(f[1]) || (offset == 0) != (f[1] == "-") ||
		kind != message.Published && offset != 0 {
		return envelope{}, fmt.Errorf("%w: its header does not fit", errBrokenEnvelope)
	}
	m := &message.Message{Channel: channel, Kind: kind, Payload: bytesOf(body[size:]), Time: int64(time), Via: internVia(f[3])}
	if offset != 0 {
		m.Position = message.Position{Epoch: strings.Clone(f[1]), Offset: offset}
	}
	if err := decodeMeta(m, body[:size]); err != nil {
		return envelope{}, err
	}
	return envelope{kind: kindMessage, msg: m}, nil
}

// metaJSON is what META and the log's field m hold when there is anything.
type metaJSON struct {
	By   *message.Publisher `json:"by,omitempty"`
	Tags map[string]string  `json:"tags,omitempty"`
}

func encodeMeta(by *message.Publisher, tags map[string]string) (string, error) {
	if by == nil && len(tags) == 0 {
		return "", nil
	}
	b, err := json.Marshal(metaJSON{By: by, Tags: tags})
	return string(b), err
}

func decodeMeta(m *message.Message, text string) error {
	if text == "" {
		return nil
	}
	var meta metaJSON
	if err := json.Unmarshal([]byte(text), &meta); err != nil {
		return fmt.Errorf("%w: meta: %w", errBrokenEnvelope, err)
	}
	m.By, m.Tags = meta.By, meta.Tags
	return nil
}

// parseDecimal reads digits only: no sign, no space.
func parseDecimal(s string) (uint64, error) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	return strconv.ParseUint(s, 10, 64)
}

func isWord(s string) bool {
	if s == "" || len(s) > message.MaxEpoch {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

// internVia keeps the known words from holding a message's bytes alive.
func internVia(s string) message.Via {
	switch v := message.Via(s); v {
	case message.ViaHTTP:
		return message.ViaHTTP
	case message.ViaRaw:
		return message.ViaRaw
	case message.ViaPlain:
		return message.ViaPlain
	case message.ViaFcall:
		return message.ViaFcall
	case message.ViaXadd:
		return message.ViaXadd
	case message.ViaSDK:
		return message.ViaSDK
	}
	return message.Via(strings.Clone(s))
}

// bytesOf is s without a copy. The client hands out each reply as a string
// over bytes of its own, and a message's payload is never changed, so the two
// may share them. The capacity ends with the payload: an append copies.
func bytesOf(s string) []byte {
	return unsafe.Slice(unsafe.StringData(s), len(s))
}

// stringOf is b without a copy, for a command's argument: an engine owns the
// payload that it was given.
func stringOf(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b))
}

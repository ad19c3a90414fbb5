package message

import (
	"strconv"
	"strings"

	"magpie/internal/fault"
)

// Position is a place in a channel's log. Offset grows by one per message,
// the first message has offset 1. Epoch names the log's timeline: it changes
// when the log is lost or when Redis rewinds (D10), so that an offset never
// means two messages.
type Position struct {
	Epoch  string `json:"epoch"`
	Offset uint64 `json:"offset"`
}

// MaxEpoch is the longest epoch that a position may carry, in bytes.
const MaxEpoch = 64

// String writes the position as EPOCH.OFFSET, the form of ?since= and of the
// SSE door's ids.
func (p Position) String() string {
	return p.Epoch + "." + strconv.FormatUint(p.Offset, 10)
}

// ParsePosition reads EPOCH.OFFSET. Epochs are 1 to MaxEpoch ASCII letters,
// digits, '-' or '_'; offsets are decimal without sign. The error is a fault of
// kind BadPosition.
func ParsePosition(s string) (Position, error) {
	epoch, number, _ := strings.Cut(s, ".")
	if epoch == "" || len(epoch) > MaxEpoch || !plain(epoch) || number == "" {
		return Position{}, fault.New(fault.BadPosition, "broken position: write EPOCH.OFFSET, as in a1b2c3d4.42")
	}
	offset, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return Position{}, fault.New(fault.BadPosition, "broken position: the offset after the dot is a decimal number, as in a1b2c3d4.42")
	}
	return Position{Epoch: epoch, Offset: offset}, nil
}

func plain(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_')
	})
}

// GapReason says why a session cannot get what it missed.
type GapReason string

const (
	// GapTrimmed: the log no longer reaches back to the position.
	GapTrimmed GapReason = "trimmed"
	// GapLost: the log was lost or Redis went back in time; the position is
	// not on the timeline that the log has now.
	GapLost GapReason = "lost"
)

// Gap tells a receiver that messages of a channel after From cannot be had.
// What comes next follows Now. (D2: told, never left silent.)
type Gap struct {
	Channel string
	From    Position
	Now     Position
	Reason  GapReason
}

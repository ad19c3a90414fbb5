package wire

import (
	"encoding/json"
	"errors"
	"fmt"

	"magpie/internal/message"
)

// ErrEntry: an entry of a log that is not Magpie's.
var ErrEntry = errors.New("a log entry of an unexpected form")

// DecodeEntry reads the fields of a log entry: t TIME v VIA m META d PAYLOAD.
func DecodeEntry(name string, at message.Position, fields []string) (*message.Message, error) {
	if len(fields) != 8 || fields[0] != "t" || fields[2] != "v" || fields[4] != "m" || fields[6] != "d" {
		return nil, fmt.Errorf("%w: the fields of %d in %q are not Magpie's", ErrEntry, at.Offset, name)
	}
	time, err := Decimal(fields[1])
	if err != nil {
		return nil, fmt.Errorf("%w: the time of %d", ErrEntry, at.Offset)
	}
	m := &message.Message{Channel: name, Position: at, Payload: Bytes(fields[7]), Time: int64(time), Via: internVia(fields[3])}
	return m, decodeMeta(m, fields[5])
}

// metaJSON is what META and the log's field m hold when there is anything.
type metaJSON struct {
	By   *message.Publisher `json:"by,omitempty"`
	Tags map[string]string  `json:"tags,omitempty"`
	// Binary: the payload was sent as bytes.
	Binary bool `json:"bin,omitempty"`
}

// EncodeMeta writes META, which is empty when there is nothing to tell.
func EncodeMeta(by *message.Publisher, tags map[string]string, binary bool) (string, error) {
	if by == nil && len(tags) == 0 && !binary {
		return "", nil
	}
	b, err := json.Marshal(metaJSON{by, tags, binary})
	return string(b), err
}

func decodeMeta(m *message.Message, text string) error {
	if text == "" {
		return nil
	}
	var meta metaJSON
	if err := json.Unmarshal([]byte(text), &meta); err != nil {
		return fmt.Errorf("%w: meta: %w", ErrBroken, err)
	}
	m.By, m.Tags, m.Binary = meta.By, meta.Tags, meta.Binary
	return nil
}

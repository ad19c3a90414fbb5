package node

import (
	"bytes"
	"encoding/json"
	"errors"
)

// header is the first line of every signal, as JSON; the body follows the
// line end as it is. Nodes of different versions meet while a cluster is
// updated: fields may be added, and a signal of another major version is
// dropped and counted.
type header struct {
	Version int    `json:"v"`
	Kind    string `json:"k"`
	From    string `json:"from"`
	// IDs are the questions that are asked or answered.
	IDs []uint64 `json:"ids,omitempty"`
	// More says that another part of the same answer follows.
	More bool `json:"more,omitempty"`
}

const version = 1

// The kinds that this package uses itself. Those of Handle have outside in
// front, so that they never meet.
const (
	kindOrder    = "order"
	kindChannels = "channels"
	kindInfo     = "info"
	kindAnswer   = "answer"
	outside      = "x:"
)

var errSignal = errors.New("signal cannot be read")

func encode(h header, body []byte) []byte {
	h.Version = version
	line, _ := json.Marshal(h) // strings, numbers and a bool: cannot fail
	return append(append(line, '\n'), body...)
}

// decode splits a signal. The body is a part of data.
func decode(data []byte) (header, []byte, error) {
	line, body, found := bytes.Cut(data, []byte{'\n'})
	var h header
	if !found || json.Unmarshal(line, &h) != nil || h.Version != version {
		return header{}, nil, errSignal
	}
	return h, body, nil
}

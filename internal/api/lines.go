package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"magpie/internal/door"
)

// line is one command of the older form of calls.
type line struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

// lines answers POST /api, the older form that some libraries still send: one
// JSON object {"method","params"} after the other, and one answer per line, in
// order. A line that cannot be read ends the call: what follows it is not
// done.
func (s *Server) lines(w http.ResponseWriter, r *http.Request) error {
	if err := s.admit(r); err != nil {
		return err
	}
	body, err := s.body(w, r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	lines, failed := readLines(body)
	var out bytes.Buffer
	for _, l := range lines {
		if err := encodeJSON(&out, s.line(ctx, l)); err != nil {
			return err
		}
	}
	if failed != nil {
		if err := encodeJSON(&out, reply{Error: failed}); err != nil {
			return err
		}
	}
	return door.AnswerJSON(w, out.Bytes())
}

func (s *Server) line(ctx context.Context, l line) reply {
	if single[l.Method] == nil {
		return reply{Error: wrong(CodeNoMethod, "POST /api takes any method but batch")}
	}
	result, failed := s.call(ctx, l.Method, l.Params)
	return reply{result, failed}
}

// readLines returns the commands before the first that cannot be read.
func readLines(body []byte) ([]line, *Error) {
	var list []line
	for d := json.NewDecoder(bytes.NewReader(body)); ; {
		var text json.RawMessage
		err := d.Decode(&text)
		switch {
		case errors.Is(err, io.EOF) && len(list) > 0:
			return list, nil
		case errors.Is(err, io.EOF):
			return nil, bad("the body is empty")
		case err != nil:
			return list, bad("the body is not JSON")
		case len(list) == maxBatch:
			return nil, wrong(CodeLimit, fmt.Sprintf("%d commands are the most for one call", maxBatch))
		}
		var l line
		if err := decode(text, &l); err != nil {
			e, _ := errorOf(err)
			return list, e
		}
		list = append(list, l)
	}
}

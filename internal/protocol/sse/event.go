package sse

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/url"
	"unicode/utf8"

	"magpie/internal/message"
)

// data are the lines of an event that all receivers share: everything but the
// id, which is the connection's own.
var (
	plainData = message.NewEncoding(func(m *message.Message) []byte {
		if utf8.Valid(m.Payload) {
			return appendData(nil, m.Payload)
		}
		// An event stream is UTF-8 by definition: other bytes go as base64 and
		// under a name of their own, so that no listener takes them for text.
		b := []byte("event: base64\ndata: ")
		return append(base64.StdEncoding.AppendEncode(b, m.Payload), "\n\n"...)
	})
	envelopeData = message.NewEncoding(func(m *message.Message) []byte {
		return appendData(nil, message.AppendEnvelope(nil, m))
	})
)

// appendData writes text as data lines and ends the event. Every kind of line
// end begins a new line (the format knows no other way to carry one).
func appendData(dst, text []byte) []byte {
	for {
		i := bytes.IndexAny(text, "\r\n")
		if i < 0 {
			break
		}
		dst = append(append(append(dst, "data: "...), text[:i]...), '\n')
		if text[i] == '\r' && i+1 < len(text) && text[i+1] == '\n' {
			i++
		}
		text = text[i+1:]
	}
	dst = append(append(dst, "data: "...), text...)
	return append(dst, "\n\n"...)
}

// append writes one event; conn.mu is held. Joins and leaves have no form
// here.
func (p *part) append(dst []byte, m *message.Message) []byte {
	if m.Kind != message.Published {
		return dst
	}
	if m.Logged() {
		p.at = m.Position
	}
	dst = p.conn.appendID(dst)
	if p.conn.envelope {
		return append(dst, envelopeData.Of(m)...)
	}
	return append(dst, plainData.Of(m)...)
}

// appendGap writes the event that tells of lost messages; mu is held.
func (c *conn) appendGap(dst []byte, g message.Gap) []byte {
	dst = c.appendID(dst)
	dst = append(dst, "event: gap\n"...)
	return appendData(dst, g.AppendJSON(nil))
}

// appendID writes the id line: the positions of all channels with a log, in
// the form of a URL's query. mu is held.
func (c *conn) appendID(dst []byte) []byte {
	dst = append(dst, "id: "...)
	first := true
	for _, p := range c.parts {
		if p.at.Epoch == "" {
			continue
		}
		if !first {
			dst = append(dst, '&')
		}
		first = false
		dst = append(append(dst, url.QueryEscape(p.channel)...), '=')
		dst = append(dst, p.at.String()...)
	}
	return append(dst, '\n')
}

// positions are what an id carries, by channel.
type positions map[string]message.Position

// maxID bounds an id that is looked at: 128 channels with names of 255 bytes,
// all of them escaped, stay under it.
const maxID = 128 << 10

func parsePositions(id string) (positions, error) {
	if id == "" {
		return nil, nil
	}
	broken := fmt.Errorf("%w: Last-Event-ID is the id of an event of this stream, unchanged, as in chat=a1b2c3d4.42", message.ErrPosition)
	if len(id) > maxID {
		return nil, broken
	}
	values, err := url.ParseQuery(id)
	if err != nil {
		return nil, broken
	}
	all := positions{}
	for name, list := range values {
		p, err := message.ParsePosition(list[0])
		if err != nil || len(list) > 1 {
			return nil, broken
		}
		all[name] = p
	}
	return all, nil
}

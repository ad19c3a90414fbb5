package sse

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"unicode/utf8"

	"magpie/internal/fault"
	"magpie/internal/message"
)

// form is how a message looks on a stream: bare, or in an envelope.
type form struct {
	// data are the lines that all receivers share: everything but the id.
	data *message.Encoding
	// event is the whole event for streams of this one channel, whose ids are
	// the same. Nil for what has no form here.
	event *message.Encoding
}

var (
	bare     = newForm(appendBare)
	envelope = newForm(func(dst []byte, m *message.Message) []byte {
		return appendData(dst, message.AppendEnvelope(nil, m))
	})
)

func newForm(data func(dst []byte, m *message.Message) []byte) *form {
	return &form{
		data: message.NewEncoding(func(m *message.Message) []byte { return data(nil, m) }),
		event: message.NewEncoding(func(m *message.Message) []byte {
			if m.Kind != message.Published {
				return nil
			}
			id := []byte("id: ")
			if m.Logged() {
				id = appendPosition(id, m.Channel, m.Position)
			}
			return data(append(id, '\n'), m)
		}),
	}
}

func (c *conn) form() *form {
	if c.envelope {
		return envelope
	}
	return bare
}

func appendBare(dst []byte, m *message.Message) []byte {
	if utf8.Valid(m.Payload) {
		return appendData(dst, m.Payload)
	}
	// An event stream is UTF-8 by definition: other bytes go as base64 and
	// under a name of their own, so that no listener takes them for text.
	dst = append(dst, "event: base64\ndata: "...)
	return append(base64.StdEncoding.AppendEncode(dst, m.Payload), "\n\n"...)
}

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

// events makes the batch's events; conn.mu is held. A stream of one channel
// shares them with all others of it.
func (p *subscription) events(b *message.Batch) []byte {
	if p.alone() {
		if last, ok := sharedID(b, p.at); ok {
			p.at = last
			return p.conn.form().event.OfBatch(b)
		}
	}
	var events []byte
	for _, m := range b.Messages {
		events = p.append(events, m)
	}
	return events
}

func (p *subscription) alone() bool { return len(p.conn.subs) == 1 && p.conn.subs[0] == p }

// sharedID tells whether the ids of these messages say all that there is to
// say in a stream of this one channel that is at the position at, and what the
// last one is.
func sharedID(b *message.Batch, at message.Position) (last message.Position, ok bool) {
	for _, m := range b.Messages {
		switch {
		case m.Kind != message.Published:
		case m.Logged():
			at = m.Position
		case at.Epoch != "":
			return at, false // without a place of its own: the id is that of one before
		}
	}
	return at, true
}

// append writes one event; conn.mu is held. Joins and leaves have no form
// here.
func (p *subscription) append(dst []byte, m *message.Message) []byte {
	if m.Kind != message.Published {
		return dst
	}
	if m.Logged() {
		p.at = m.Position
	}
	return append(p.conn.appendID(dst), p.conn.form().data.Of(m)...)
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
	for _, p := range c.subs {
		if p.at.Epoch == "" {
			continue
		}
		if !first {
			dst = append(dst, '&')
		}
		first = false
		dst = appendPosition(dst, p.channel, p.at)
	}
	return append(dst, '\n')
}

func appendPosition(dst []byte, channel string, at message.Position) []byte {
	return append(append(append(dst, url.QueryEscape(channel)...), '='), at.String()...)
}

// maxIDLen is how long the id of a stream of these channels can become.
func maxIDLen(channels []string) int {
	const epoch = 16 // the engines' have 8
	n := 0
	for _, name := range channels {
		n += len(url.QueryEscape(name)) + len("=.&") + epoch + len("18446744073709551615")
	}
	return n
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
	broken := fault.New(fault.BadPosition, "broken position: Last-Event-ID is the id of an event of this stream, unchanged, as in chat=a1b2c3d4.42")
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

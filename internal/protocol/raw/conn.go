package raw

import (
	"bytes"
	"encoding/json"
	"sync/atomic"
	"unicode/utf8"

	"magpie/internal/engine"
	"magpie/internal/message"
	"magpie/internal/problem"
	"magpie/internal/session"
	"magpie/internal/transport/ws"
)

// conn is one raw session: a hub.Subscriber, the session's Link and the
// socket's Handler in one allocation.
type conn struct {
	session.Session
	door     *Door
	socket   atomic.Pointer[ws.Conn]  // nil until the upgrade
	farewell atomic.Pointer[farewell] // nil unless a server ended it
	channel  string
	envelope bool
	spoke    bool // a frame came; owned by Message
}

var (
	// Text that is UTF-8 goes out as a text frame, all else as a binary one:
	// a text frame with other bytes would end the connection (RFC 6455 8.1).
	plainFrame = message.NewEncoding(func(m *message.Message) []byte {
		if m.Kind != message.Published {
			return nil
		}
		if utf8.Valid(m.Payload) {
			return ws.Frame(ws.Text, m.Payload)
		}
		return ws.Frame(ws.Binary, m.Payload)
	})
	envelopeFrame = message.NewEncoding(func(m *message.Message) []byte {
		if m.Kind != message.Published {
			return nil
		}
		return ws.Frame(ws.Text, message.AppendEnvelope(nil, m))
	})
)

func (c *conn) encoding() *message.Encoding {
	if c.envelope {
		return envelopeFrame
	}
	return plainFrame
}

// attach hands the open socket to the session. The session may have ended
// meanwhile: then its goodbye is said here.
func (c *conn) attach(socket *ws.Conn) {
	c.socket.Store(socket)
	if r := c.Reason(); r != "" {
		socket.CloseWith(c.closing(r))
	}
	c.Attach()
	socket.Start()
}

// Deliver implements hub.Subscriber. Joins and leaves have no form here.
func (c *conn) Deliver(b *message.Batch) {
	if frames := c.encoding().OfBatch(b); len(frames) > 0 {
		c.Send(frames)
	}
}

// Gap implements hub.Subscriber. Bare payloads leave no place to say it: the
// connection ends with a code that does.
func (c *conn) Gap(g message.Gap) {
	if !c.envelope {
		c.Close(session.ReasonGap)
		return
	}
	text := append(g.AppendJSON([]byte(`{"gap":`)), '}')
	c.Send(ws.Frame(ws.Text, text))
}

// Now implements ws.Prompt.
func (c *conn) Now(op ws.Op, payload []byte) []byte {
	if !c.door.Node.Prompt() {
		return payload
	}
	c.Message(op, payload)
	return nil
}

// Message implements ws.Handler: what comes in is published.
func (c *conn) Message(_ ws.Op, payload []byte) {
	if !c.spoke {
		c.spoke = true
		if isConnect(payload) {
			c.Close(session.ReasonWrongDoor)
			return
		}
	}
	ctx, cancel := c.Node().Patience(c.door.PublishTimeout)
	defer cancel()
	_, err := c.Publish(ctx, engine.Publication{Channel: c.channel, Payload: payload, Via: message.ViaRaw})
	if err == nil {
		return
	}
	p := problem.Of(err)
	if c.envelope {
		c.Send(ws.Frame(ws.Text, p.Body()))
		return
	}
	c.Close(publishFailed(p))
}

// isConnect tells whether a first frame is the connect command of a Centrifuge
// client. Published as it is it would come back, and the client would take its
// own words for the server's.
func isConnect(payload []byte) bool {
	if len(payload) > 16<<10 || !bytes.Contains(payload, []byte(`"connect"`)) {
		return false
	}
	first, _, _ := bytes.Cut(payload, []byte{'\n'})
	var c map[string]json.RawMessage
	return json.Unmarshal(first, &c) == nil && len(c) == 2 && c["id"] != nil && len(c["connect"]) > 0 && c["connect"][0] == '{'
}

// Closed implements ws.Handler.
func (c *conn) Closed(info ws.CloseInfo) { c.Session.Close(info.Reason) }

// CloseCode implements ws.Codes.
func (c *conn) CloseCode(r session.Reason) (uint16, string) {
	switch r {
	case session.ReasonNoPong, session.ReasonShutdown, session.ReasonSlow, session.ReasonFlood:
		return closeCode(r)
	}
	return 0, ""
}

// TryWrite implements session.Link.
func (c *conn) TryWrite(frame []byte) (int, error) { return c.socket.Load().TryWrite(frame) }

// Write implements session.Link.
func (c *conn) Write(frames [][]byte) error { return c.socket.Load().Write(frames) }

// Goodbye implements session.Link.
func (c *conn) Goodbye(r session.Reason) {
	if socket := c.socket.Load(); socket != nil {
		socket.CloseWith(c.closing(r))
	}
}

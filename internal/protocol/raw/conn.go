package raw

import (
	"bytes"
	"encoding/json"
	"sync/atomic"
	"unicode/utf8"

	"magpie/internal/door"
	"magpie/internal/engine"
	"magpie/internal/fault"
	"magpie/internal/message"
	"magpie/internal/node"
	"magpie/internal/problem"
	"magpie/internal/session"
	"magpie/internal/transport/ws"
)

// conn is one raw session: a hub.Subscriber, the session's Link and the
// socket's Handler in one allocation.
type conn struct {
	door.Conn
	door     *Door
	byServer atomic.Pointer[closeMessage] // nil unless a server closed the session
	channel  string
	envelope bool
	deflate  bool // permessage-deflate was agreed on
	spoke    bool // a frame came; owned by Message
	hurried  int  // frames that were one too many; owned by Message
}

// forms are messages as frames: their payloads, and envelopes.
type forms struct{ plain, envelope *message.Encoding }

var (
	framed   = newForms(ws.Frame)
	deflated = newForms(ws.DeflatedFrame)
)

func newForms(frame func(ws.Op, []byte) []byte) forms {
	// What was sent as text goes out as a text frame, and so does UTF-8 that came
	// by another way; all else as a binary one: a text frame with other bytes
	// would end the connection (RFC 6455 8.1).
	plain := message.NewEncoding(func(m *message.Message) []byte {
		if m.Kind != message.Published {
			return nil
		}
		if m.Binary || !utf8.Valid(m.Payload) {
			return frame(ws.Binary, m.Payload)
		}
		return frame(ws.Text, m.Payload)
	})
	envelope := message.NewEncoding(func(m *message.Message) []byte {
		if m.Kind != message.Published {
			return nil
		}
		return frame(ws.Text, message.AppendEnvelope(nil, m))
	})
	return forms{plain, envelope}
}

func (c *conn) encoding() *message.Encoding {
	f := framed
	if c.deflate {
		f = deflated
	}
	if c.envelope {
		return f.envelope
	}
	return f.plain
}

// Deliver implements hub.Subscriber. Joins and leaves have no form here.
func (c *conn) Deliver(b *message.Batch) {
	if frames := c.encoding().OfBatch(b); len(frames) > 0 {
		c.Send(frames)
	}
}

// Gap implements hub.Subscriber. Bare payloads leave no place to say it: the
// connection is closed with a code that does.
func (c *conn) Gap(g message.Gap) {
	if !c.envelope {
		c.Close(fault.ReasonGap)
		return
	}
	text := append(g.AppendJSON([]byte(`{"gap":`)), '}')
	c.Send(ws.Frame(ws.Text, text))
}

// Now implements ws.Immediate.
func (c *conn) Now(op ws.Op, payload []byte) []byte {
	if !c.door.Gate.Immediate() {
		return payload
	}
	c.Message(op, payload)
	return nil
}

// Message implements ws.Handler: what comes in is published.
func (c *conn) Message(op ws.Op, payload []byte) {
	if !c.spoke {
		c.spoke = true
		if isConnect(payload) {
			c.Close(fault.ReasonWrongDoor)
			return
		}
	}
	ctx, cancel := c.door.Gate.Timeout(publishTimeout)
	defer cancel()
	_, err := c.door.Gate.Publish(ctx, node.ClientActor(&c.Session), engine.Publication{Channel: c.channel, Payload: payload, Via: message.ViaRaw, Binary: op == ws.Binary && utf8.Valid(payload)})
	if fault.KindOf(err) == fault.TooMany {
		c.hurried++
	}
	switch {
	case err == nil:
	case c.envelope && c.hurried < mostHurried:
		c.Send(ws.Frame(ws.Text, problem.Of(err).Body()))
	default:
		c.Close(publishFailed(fault.KindOf(err)))
	}
}

// mostHurried is after how many refusals a client that floods is cut: each is an
// answer to write.
const mostHurried = 100

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

// CloseCode implements ws.Codes.
func (c *conn) CloseCode(r fault.Reason) (uint16, string) {
	switch r {
	case fault.ReasonNoPong, fault.ReasonShutdown, fault.ReasonSlow, fault.ReasonFlood:
		return c.closeMessage(r)
	}
	return 0, ""
}

// CloseLink implements session.Link.
func (c *conn) CloseLink(r fault.Reason) { c.CloseSocket(c.closeMessage(r)) }

// closeMessage is what the client is told for a reason.
func (c *conn) closeMessage(r fault.Reason) (uint16, string) {
	m := closeMessageFor(r)
	if own := c.byServer.Load(); own != nil && r == fault.ReasonKicked {
		m = *own
	}
	return m.code, m.text
}

// ServerSubscribe implements session.Controllable. A raw connection has one
// channel, named in its URL, and no way to tell of another: nothing is done.
func (c *conn) ServerSubscribe(string, session.ServerSubscription) {}

// ServerUnsubscribe implements session.Controllable. A connection without its
// channel is for nothing, so it is closed.
func (c *conn) ServerUnsubscribe(channel string, _ uint32, reason string) {
	if channel == c.channel {
		c.closeByServer(&closeMessage{codeKicked, reason})
	}
}

// ServerDisconnect implements session.Controllable.
func (c *conn) ServerDisconnect(code uint32, reason string) {
	c.closeByServer(serverCloseMessage(code, reason))
}

func (c *conn) closeByServer(m *closeMessage) {
	c.byServer.CompareAndSwap(nil, m) // the first order counts, as the first Close does
	c.Close(fault.ReasonKicked)
}

var _ session.Controllable = (*conn)(nil)

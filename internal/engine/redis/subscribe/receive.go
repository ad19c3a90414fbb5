package subscribe

import (
	"errors"
	"time"

	"github.com/redis/rueidis"

	channels "magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/engine/redis/wire"
	"magpie/internal/fault"
	"magpie/internal/message"
)

// receive takes one Pub/Sub message. It runs on the client's reader and must
// not wait.
func (c *connection) receive(m rueidis.PubSubMessage) {
	if ch, ok := c.Names.ChannelOf(m.Channel); ok {
		if m.Pattern == "" || c.counts(ch, m.Pattern, true) {
			c.receiveLive(ch, m.Message)
		}
		return
	}
	switch {
	case c.Names.Reserved(m.Channel):
		if m.Pattern == "" {
			c.receiveOwn(m.Channel, m.Message)
		}
	case m.Pattern == "":
		if takes, moved := c.takes(m.Channel); takes {
			c.receivePlain(m.Channel, m.Message, moved)
		}
	case channels.Check(m.Channel) == nil && c.counts(m.Channel, m.Pattern, false):
		c.receivePlain(m.Channel, m.Message, false)
	}
}

// receiveOwn takes what nodes say to themselves and to each other.
func (c *connection) receiveOwn(name, text string) {
	switch name {
	case c.probe.place.Load().name:
		c.probe.echo(text)
	case c.Names.Bus(""), c.Names.Bus(c.Node):
		c.Signal(wire.Bytes(text))
	}
}

// counts tells whether a message that came by a pattern is the one to take:
// Redis sends one for every pattern that matches.
func (c *connection) counts(ch, text string, live bool) bool {
	p := c.covering(ch)
	if p == nil {
		return false
	}
	if live {
		return p.live.text == text
	}
	return p.plain.text == text
}

// takes tells whether a plain PUBLISH that came here is to be taken, and whether
// its channel has just moved here. While a cluster does not deliver the live name,
// nobody would see what becomes of it: the slot has left, or has not come yet.
func (c *connection) takes(ch string) (takes, moved bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.names[key{ch, false}]
	if n == nil || n.moved || n.live != nil && n.live.sharded && n.live.state != on {
		return false, false
	}
	if n.ignore.IsZero() {
		return true, false
	}
	since := time.Since(n.ignore)
	return since > 0, since < movedTime
}

// listens tells whether Subscribe holds for the channel.
func (c *connection) listens(ch string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.channels[ch] != nil
}

func (c *connection) receiveLive(ch, text string) {
	e, err := wire.Decode(ch, text)
	if err != nil {
		c.Events.Skipped()
		if !errors.Is(err, wire.ErrUnknown) && c.broken.Allow() {
			c.Log.Warn("skipped what came under a live name", "channel", ch, "error", err)
		}
		return
	}
	c.Plain.Seen(ch, e)
	switch {
	case e.Kind != wire.KindMessage && e.Kind != wire.KindRemoved, !c.listens(ch):
	case e.Kind == wire.KindMessage:
		c.Sink.Receive(e.Message)
	default:
		c.Sink.Recheck(ch)
	}
}

// receivePlain takes a plain PUBLISH. In a channel with a log it goes into the
// log first and is delivered when it comes back from there (D5); in one
// without it is delivered now (D9).
func (c *connection) receivePlain(ch, payload string, moved bool) {
	if err := c.Admit(engine.Publication{Channel: ch, Payload: wire.Bytes(payload), Via: message.ViaPlain}); err != nil {
		c.Events.Dropped(string(fault.KindOf(err)))
		if c.dropped.Allow() {
			c.Log.Warn("dropped a plain PUBLISH", "channel", ch, "error", err)
		}
		return
	}
	if c.Logged(ch) {
		c.Plain.Arrived(ch, payload, moved)
		return
	}
	if c.listens(ch) {
		c.Sink.Receive(&message.Message{Channel: ch, Payload: wire.Bytes(payload), Time: time.Now().UnixMilli(), Via: message.ViaPlain})
	}
}

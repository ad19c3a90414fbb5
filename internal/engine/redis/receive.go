package redis

import (
	"errors"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/channel"
	"magpie/internal/message"
)

// receive takes one Pub/Sub message. It runs on the client's reader and must
// not wait.
func (s *subscriber) receive(m rueidis.PubSubMessage) {
	e := s.e
	if ch, ok := e.keys.channelOf(m.Channel); ok {
		if m.Pattern == "" || s.counts(ch, m.Pattern, true) {
			s.receiveLive(ch, m.Message)
		}
		return
	}
	switch {
	case e.keys.reserved(m.Channel):
		if m.Pattern == "" {
			s.receiveOwn(m.Channel, m.Message)
		}
	case m.Pattern == "":
		if e.cluster == nil || s.hears(m.Channel) {
			s.receivePlain(m.Channel, m.Message)
		}
	case channel.Check(m.Channel) != nil:
	case s.counts(m.Channel, m.Pattern, false):
		s.receivePlain(m.Channel, m.Message)
	}
}

// receiveOwn takes what nodes say to themselves and to each other.
func (s *subscriber) receiveOwn(name, text string) {
	switch name {
	case s.m.probe.place.Load().name:
		s.m.probe.echo(text)
	case s.e.keys.bus(""), s.e.keys.bus(s.e.node):
		s.e.serves.Signal(bytesOf(text))
	}
}

// counts tells whether a message that came by a pattern is the one to take:
// Redis sends one for every pattern that matches.
func (s *subscriber) counts(ch, text string, live bool) bool {
	p := s.covering(ch)
	if p == nil {
		return false
	}
	if live {
		return p.live.text == text
	}
	return p.plain.text == text
}

func (s *subscriber) receiveLive(ch, text string) {
	e := s.e
	env, err := decodeEnvelope(ch, text)
	if err != nil {
		call(e.cfg.Metrics.EnvelopeSkipped)
		if !errors.Is(err, errUnknownEnvelope) && e.broken.allow() {
			e.cfg.Log.Warn("skipped what came under a live name", "channel", ch, "error", err)
		}
		return
	}
	switch env.kind {
	case kindMessage:
		if env.msg.Via == message.ViaPlain {
			e.plain.echoed(env.msg)
		}
		if s.listens(ch) {
			e.sink.Receive(env.msg)
		}
	case kindFence:
		e.plain.fenced(ch, env.node, env.token)
	case kindRelease:
		e.plain.freed(ch, env.node)
	case kindRemoved:
		if s.listens(ch) {
			e.sink.Recheck(ch)
		}
	}
}

// receivePlain takes a plain PUBLISH. In a channel with a log it goes into the
// log first and is delivered when it comes back from there (D5); in one
// without it is delivered now (D9).
func (s *subscriber) receivePlain(ch, payload string) {
	e := s.e
	if len(payload) > e.cfg.MaxPayload {
		e.cfg.Metrics.plainDropped("too_big")
		if e.tooBig.allow() {
			e.cfg.Log.Warn("dropped a plain PUBLISH that is too big", "channel", ch, "bytes", len(payload), "most", e.cfg.MaxPayload)
		}
		return
	}
	if e.cfg.Rules.For(ch).Log.Size > 0 {
		e.plain.arrived(ch, payload)
		return
	}
	if s.listens(ch) {
		e.sink.Receive(&message.Message{Channel: ch, Payload: bytesOf(payload), Time: time.Now().UnixMilli(), Via: message.ViaPlain})
	}
}

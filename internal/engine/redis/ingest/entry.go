package ingest

import (
	"encoding/json"

	"github.com/redis/rueidis"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/engine/redis/script"
	"magpie/internal/engine/redis/wire"
	"magpie/internal/message"
)

// entry is one stream entry: its id and its fields, name and value in turn.
type entry struct {
	id     string
	fields []string
}

// entriesOf reads [[id, [name, value, ...]], ...]. Entries that were deleted
// come as nil and are left out.
// oneStream is what XREADGROUP answers about the one stream that it was asked
// for: in RESP3 a map of it, in RESP2 a list of pairs.
func oneStream(reply *rueidis.RedisMessage) *rueidis.RedisMessage {
	if streams, err := reply.AsMap(); err == nil {
		for _, entries := range streams {
			return &entries
		}
	}
	if pairs, err := reply.ToArray(); err == nil && len(pairs) == 1 {
		if pair, err := pairs[0].ToArray(); err == nil && len(pair) == 2 {
			return &pair[1]
		}
	}
	return reply
}

func entriesOf(m *rueidis.RedisMessage) ([]entry, error) {
	list, err := m.ToArray()
	if err != nil {
		return nil, ignoreNil(err)
	}
	entries := make([]entry, 0, len(list))
	for i := range list {
		pair, err := list[i].ToArray()
		if err != nil || len(pair) != 2 {
			continue
		}
		id, err := pair[0].ToString()
		if err != nil {
			continue
		}
		fields, err := pair[1].AsStrSlice()
		if err != nil {
			fields = nil // deleted: the script acknowledges it when its turn comes
		}
		entries = append(entries, entry{id, fields})
	}
	return entries, nil
}

// item is what an entry asks to be published.
type item struct {
	channel, payload, key string
	refused               string // why it cannot be
}

// itemOf reads the fields channel, payload and idempotency_key. Without a
// channel it is the stream's own name; without a payload it is all other
// fields as one JSON object, in their order.
func (s *stream) itemOf(e entry) item {
	it := item{channel: s.name}
	var rest []string
	payload := false
	for i := 0; i+1 < len(e.fields); i += 2 {
		switch name, value := e.fields[i], e.fields[i+1]; name {
		case "channel":
			it.channel = value
		case "payload":
			it.payload, payload = value, true
		case "idempotency_key":
			it.key = value
		default:
			rest = append(rest, name, value)
		}
	}
	if !payload {
		it.payload = jsonObject(rest)
	}
	err := channel.Check(it.channel)
	if err == nil {
		err = s.Admit(engine.Publication{Channel: it.channel, Payload: wire.Bytes(it.payload), Via: message.ViaXadd, IdempotencyKey: it.key})
	}
	if err != nil {
		it.refused = err.Error()
	}
	// What is kept of a refused entry is bounded like what is published.
	it.payload = it.payload[:min(len(it.payload), s.MaxPayload)]
	return it
}

func jsonObject(fields []string) string {
	out := []byte{'{'}
	for i, text := range fields {
		if i > 0 {
			out = append(out, ",:"[i%2])
		}
		quoted, _ := json.Marshal(text) // a string always marshals
		out = append(out, quoted...)
	}
	return string(append(out, '}'))
}

func (s *stream) commands(entries []entry, items []item) rueidis.Commands {
	cmds := make(rueidis.Commands, len(entries))
	for i, e := range entries {
		it := items[i]
		ch := it.channel
		if it.refused != "" {
			ch = "-" // its keys are named and never used
		}
		of := s.Names.Of(ch)
		size, age, bytes := s.Limits(ch)
		keys := []string{s.name, of.Log(), of.Meta(), s.Names.Rejected()}
		if it.key != "" {
			keys = append(keys, of.Idempotency("", it.key))
		}
		cmds[i] = s.Scripts.Ingest.Call(s.Redis.Client().B(), keys, s.Names.Prefix, e.id, it.refused,
			of.Live(), s.Node, size, age, bytes, script.Millis(s.IdempotencyWindow), "", "", it.payload)
	}
	return cmds
}

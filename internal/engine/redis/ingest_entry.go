package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"magpie/internal/channel"
)

// entry is one stream entry: its id and its fields, name and value in turn.
type entry struct {
	id     string
	fields []string
}

// entriesOf reads [[id, [name, value, ...]], ...]. Entries that were deleted
// come as nil and are left out.
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
func itemOf(stream string, e entry, maxPayload int) item {
	it := item{channel: stream}
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
	if err := channel.Check(it.channel); err != nil {
		it.refused = err.Error()
	} else if len(it.payload) > maxPayload {
		it.refused = fmt.Sprintf("the payload has %d bytes and %d is the most", len(it.payload), maxPayload)
	}
	// What is kept of a refused entry is bounded like what is published.
	it.payload = it.payload[:min(len(it.payload), maxPayload)]
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

// takeIn publishes a batch in order. It returns how long to wait before the
// next batch: when an entry was not first in line, something else is at work.
func (s *stream) takeIn(ctx context.Context, entries []entry) (time.Duration, error) {
	var replies []rueidis.RedisResult
	items := make([]item, len(entries))
	for i, en := range entries {
		items[i] = itemOf(s.name, en, s.e.cfg.MaxPayload)
	}
	err := s.e.do(ctx, s.name, func(ctx context.Context) error {
		replies = s.e.client.DoMulti(ctx, s.commands(entries, items)...)
		return nil
	})
	if err != nil {
		return 0, err
	}
	for i, reply := range replies {
		code, err := reply.AsInt64()
		switch {
		case isNoScript(err):
			s.pending = true
			return 0, s.e.do(ctx, s.name, func(ctx context.Context) error { return s.e.load(ctx, ingestScript) })
		case isNoGroup(err):
			s.pending = true
			return 0, s.begin(ctx)
		case err != nil:
			return 0, s.e.failure(err)
		case code == 1:
			s.e.cfg.Metrics.ingested("published")
		case code == 2:
			s.e.cfg.Metrics.ingested("rejected")
			s.log.Warn("an entry cannot be published; it is in "+s.e.keys.rejected(), "id", entries[i].id, "reason", items[i].refused)
		case code == 3:
			s.pending = true
			return streamRetry, nil
		}
	}
	return 0, nil
}

func (s *stream) commands(entries []entry, items []item) rueidis.Commands {
	e := s.e
	cmds := make(rueidis.Commands, len(entries))
	for i, en := range entries {
		it := items[i]
		ch := it.channel
		if it.refused != "" {
			ch = "-" // its keys are named and never used
		}
		log := e.cfg.Rules.For(ch).Log
		names := []string{s.name, e.keys.log(ch), e.keys.meta(ch), e.keys.rejected()}
		if it.key != "" {
			names = append(names, e.keys.idem(ch, it.key))
		}
		cmds[i] = e.script(ingestScript).call(e.client.B(), names, e.keys.prefix, en.id, it.refused,
			e.keys.live(ch), e.node, strconv.Itoa(log.Size), millis(log.Age), millis(e.cfg.IdempotencyWindow), "", "", it.payload)
	}
	return cmds
}

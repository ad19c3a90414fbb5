package log

import (
	"strconv"

	"magpie/internal/engine"
	"magpie/internal/engine/redis/script"
	"magpie/internal/message"
)

// A timeline forks (D10) inside Redis, in the script that first touches a log
// after Redis has gone back in time: script/lua/timeline.lua. Here is what Go
// has to do with it: to notice that Redis is not what it was although nobody
// publishes (Origin), to ask what follows a position of any timeline (since),
// and to tell what the answer lacks (page.Gap; markHole).

// Origin is what the data of a Redis comes from. A field may be empty: this
// user may not ask for it.
type Origin struct {
	Life        string // of the data set: another one after a loss of all data
	Replication string // of the history that is being written: another one after a restart or a failover
}

// Became notes what a Redis tells now, and whether that is another origin than
// before.
func (o *Origin) Became(now Origin) (other bool) {
	life := became(&o.Life, now.Life)
	return became(&o.Replication, now.Replication) || life
}

func became(known *string, now string) (other bool) {
	if now == "" {
		return false
	}
	other = *known != "" && *known != now
	*known = now
	return other
}

// since is what the script read is asked with for q: an epoch, an offset, how
// many, and which way.
func since(q engine.Query) []string {
	from, way := message.Position{}, "forward"
	if q.Since != nil {
		from = *q.Since
		if from.Epoch == "" {
			from.Epoch = "-" // no epoch is called so: lost
		}
	}
	switch {
	case q.Reverse:
		way = "reverse"
	case q.Resume:
		way = "resume"
	}
	return []string{from.Epoch, strconv.FormatUint(from.Offset, 10), strconv.Itoa(q.Limit), way}
}

// readPage reads the answer of the script read: {epoch, top, gap, entries, reach}.
func readPage(channel string, q engine.Query, r script.Reply) (page engine.Page, err error) {
	page.Top.Epoch, page.Top.Offset = r.Text(), r.Number()
	page.Gap = message.GapReason(r.Text())
	entries := r.List()
	page.Reach = r.Number()
	if err := r.Err(); err != nil {
		return engine.Page{}, err
	}
	if q.Reverse {
		page.Gap = ""
	}
	if page.Messages, err = decodeEntries(channel, page.Top.Epoch, entries); err != nil {
		return engine.Page{}, engine.Unavailable("%w", err)
	}
	return page, nil
}

// markHole turns a hole inside the answer (an entry that was deleted by hand)
// into a gap: what is partial must be told. whole says that the answer goes as far
// as q's Limit asks.
func markHole(q engine.Query, page *engine.Page, whole bool) {
	if q.Reverse || q.Since == nil || page.Gap != "" {
		return
	}
	next := q.Since.Offset + 1
	for _, m := range page.Messages {
		if m.Offset != next {
			page.Gap = message.GapTrimmed
			return
		}
		next++
	}
	if atEnd := q.Limit == engine.All || len(page.Messages) < q.Limit; whole && atEnd && next <= page.Top.Offset {
		page.Gap = message.GapTrimmed
	}
}

package hub

import (
	"cmp"
	"slices"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/message"
)

// recovery is what the log says to the position of a client that comes back.
type recovery struct {
	missed []*message.Message
	top    message.Position
	gap    message.GapReason
}

// recoverFrom tells what a client at since missed, from a page that was asked
// for with the position asked and goes to the log's end: the same as if it had
// been asked for since. ok is false when that cannot be told: since is of
// another epoch, or lies before asked.
func recoverFrom(since message.Position, page engine.Page, asked message.Position) (r recovery, ok bool) {
	if since.Epoch != asked.Epoch || since.Offset < asked.Offset {
		return recovery{}, false
	}
	r.top = page.Top
	if page.Gap == message.GapLost || since.Offset > page.Reach {
		r.gap = message.GapLost
		return r, true
	}
	from, _ := slices.BinarySearchFunc(page.Messages, since.Offset+1, func(m *message.Message, o uint64) int {
		return cmp.Compare(m.Offset, o)
	})
	missed := page.Messages[from:len(page.Messages):len(page.Messages)]
	if uint64(len(missed)) != page.Top.Offset-since.Offset { // offsets only grow: a hole, or all of it
		r.gap = message.GapTrimmed
		return r, true
	}
	if len(missed) < len(page.Messages)/4 {
		missed = slices.Clone(missed) // a short list must not keep a long one in memory
	}
	r.missed = missed
	return r, true
}

// firstRead is what the engine is asked for together with listening to a
// channel: what the first user missed, if it is little. It serves all who wait
// for the channel to open.
type firstRead struct {
	since *message.Position // what the first user has; nil when it does not say

	// Set by open, read after the channel is open. asked is nil when the log
	// was not read, or not to its end.
	asked *message.Position
	page  engine.Page
}

const (
	// firstReadPage is how many messages are read while the engine begins to
	// listen. They come on the connection of live messages, so they are few.
	firstReadPage = 128
	// maxFirstReads is how many channels do so at once; others only learn
	// where their log stands.
	maxFirstReads = 16
)

// firstQuery is what the engine is asked; done is to be called after the
// answer. An engine cannot decide on a position without an epoch.
func (h *Hub) firstQuery(first *firstRead, rule *channel.Rule) (q engine.Query, done func()) {
	if first.since != nil && first.since.Epoch != "" && rule.Log.Size > 0 {
		select {
		case h.firstReads <- struct{}{}:
			return engine.Query{Since: first.since, Limit: firstReadPage, Resume: true}, func() { <-h.firstReads }
		default:
		}
	}
	return engine.Query{}, func() {}
}

func (f *firstRead) answered(q engine.Query, page engine.Page) {
	if n := len(page.Messages); n == firstReadPage && page.Messages[n-1].Offset < page.Top.Offset {
		return
	}
	f.asked, f.page = q.Since, page
}

// recover is recoverFrom with what was read, if that is enough.
func (f *firstRead) recover(since message.Position) (recovery, bool) {
	if f == nil || f.asked == nil {
		return recovery{}, false
	}
	return recoverFrom(since, f.page, *f.asked)
}

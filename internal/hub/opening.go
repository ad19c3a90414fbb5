package hub

import (
	"cmp"
	"slices"

	"magpie/internal/engine"
	"magpie/internal/message"
)

// opening is what a room reads while it opens: what the first user missed, as
// far as it is little. It serves all who wait for the room to open.
type opening struct {
	since *message.Position // what the first user has; nil when it does not say

	// Set by open, read after the room is open. asked is nil when the log was
	// not read, or not to its end.
	asked *message.Position
	page  engine.Page
}

const (
	// openingPage is how many messages are read at once with opening. The
	// reading shares its connection with live messages, so it is kept short.
	openingPage = 128
	// openersMost is how many rooms read while they open; others only learn
	// where their log stands.
	openersMost = 16
)

// newOpening leaves out what an engine cannot judge.
func newOpening(since *message.Position) *opening {
	if since == nil || since.Epoch == "" {
		return &opening{}
	}
	return &opening{since: since}
}

// openingQuery is what the room asks for; done is to be called after the answer.
func (h *Hub) openingQuery(r *room) (q engine.Query, done func()) {
	if r.first.since != nil && r.rule.Log.Size > 0 {
		select {
		case h.opening <- struct{}{}:
			return engine.Query{Since: r.first.since, Limit: openingPage, Resume: true}, func() { <-h.opening }
		default:
		}
	}
	return engine.Query{}, func() {}
}

func (o *opening) answered(q engine.Query, page engine.Page) {
	if n := len(page.Messages); n == openingPage && page.Messages[n-1].Offset < page.Top.Offset {
		return
	}
	o.asked, o.page = q.Since, page
}

// verdict is what became of a position.
type verdict struct {
	missed []*message.Message
	top    message.Position
	gap    message.GapReason
}

// judge tells from a page, which was asked for with the position asked and
// goes to the log's end, what since missed: the same as if it had been asked for
// itself. It cannot when since is of another epoch, or lies before asked.
func judge(page engine.Page, asked, since message.Position) (verdict, bool) {
	if since.Epoch != asked.Epoch || since.Offset < asked.Offset {
		return verdict{}, false
	}
	v := verdict{top: page.Top}
	if page.Gap == message.GapLost || since.Offset > page.Reach {
		v.gap = message.GapLost
		return v, true
	}
	from, _ := slices.BinarySearchFunc(page.Messages, since.Offset+1, func(m *message.Message, o uint64) int {
		return cmp.Compare(m.Offset, o)
	})
	rest := page.Messages[from:len(page.Messages):len(page.Messages)]
	if uint64(len(rest)) != page.Top.Offset-since.Offset { // offsets only grow: a hole, or all of it
		v.gap = message.GapTrimmed
		return v, true
	}
	if len(rest) < len(page.Messages)/4 {
		rest = slices.Clone(rest) // a short list must not keep a long one alive
	}
	v.missed = rest
	return v, true
}

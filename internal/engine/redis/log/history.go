package log

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/rueidis"

	"magpie/internal/engine"
	"magpie/internal/engine/redis/script"
	"magpie/internal/engine/redis/wire"
	"magpie/internal/message"
)

const (
	// pageSize is the most messages one script call reads: it bounds how long
	// a reader of a long log holds up everybody else's Redis.
	pageSize = 512
	// boundedPageSize is the same for a page that is bounded in bytes: what is
	// read behind the bound is read for nothing.
	boundedPageSize = 32
	// firstPageSize is the same for a first page that is read on the subscriber
	// connection, where everybody's live messages wait behind it.
	firstPageSize = 128
	// pageTries bounds how often a read starts anew because the log changed
	// under it.
	pageTries = 4
)

// History implements engine.Logs. A long answer is read in pages; if the log's
// start or timeline moves meanwhile, it is read again.
func (l *Logs) History(ctx context.Context, name string, q engine.Query) (engine.Page, error) {
	if !l.Logged(name) {
		return engine.Page{}, l.Redis.Gate(name)
	}
	page, err := l.read(ctx, name, q, nil)
	if err != nil {
		return engine.Page{}, fmt.Errorf("history of %q: %w", name, err)
	}
	return page, nil
}

// Reading is a part of a log whose first page is asked for on another
// connection: right behind a SUBSCRIBE, in the same round trip.
type Reading struct {
	Channel string
	query   engine.Query // what was asked for
	first   engine.Query // its first page
}

// Reading returns nil for a channel without a log.
func (l *Logs) Reading(channel string, q engine.Query) *Reading {
	if !l.Logged(channel) {
		return nil
	}
	r := &Reading{Channel: channel, query: q, first: q}
	r.first.Limit = pageLimit(q.Limit, firstPageSize)
	return r
}

// Command asks for the first page.
func (l *Logs) Command(b rueidis.Builder, r *Reading) rueidis.Completed {
	keys, args := l.readCall(r.Channel, r.first)
	return l.Scripts.Read.Call(b, keys, args...)
}

// Complete makes a page of the answer to Command, and reads on when that was
// not all. Without an answer, nil, it reads all by itself.
func (l *Logs) Complete(ctx context.Context, r *Reading, answer *rueidis.RedisResult) (engine.Page, error) {
	if answer == nil {
		return l.read(ctx, r.Channel, r.query, nil)
	}
	page, err := readPage(r.Channel, r.first, script.ReplyOf(*answer, 5))
	if err != nil {
		return engine.Page{}, err
	}
	return l.read(ctx, r.Channel, r.query, &firstPage{page, r.first.Limit})
}

// firstPage is one that was read already; limit is what it was asked for.
type firstPage struct {
	page  engine.Page
	limit int
}

func (l *Logs) read(ctx context.Context, name string, q engine.Query, first *firstPage) (page engine.Page, err error) {
	for range pageTries {
		whole, err := l.readAll(ctx, name, q, first, &page)
		if err != nil || whole {
			return page, err
		}
		first = nil
	}
	return page, engine.Unavailable("the log changes faster than it can be read")
}

// readAll reads until q is satisfied. It is not whole when pages do not fit.
func (l *Logs) readAll(ctx context.Context, name string, q engine.Query, read *firstPage, page *engine.Page) (whole bool, err error) {
	*page = engine.Page{}
	ask, left, size := q, q.Limit, pageSize
	if q.Bytes > 0 {
		size = boundedPageSize
	}
	for first := true; ; first = false {
		var part engine.Page
		if first && read != nil {
			part, ask.Limit = read.page, read.limit
		} else {
			ask.Limit = pageLimit(left, size)
			if part, err = l.readPage(ctx, name, ask); err != nil {
				return false, err
			}
		}
		if first {
			page.Top, page.Gap, page.Reach = part.Top, part.Gap, part.Reach
		} else if part.Gap != "" || part.Top.Epoch != page.Top.Epoch {
			return false, nil
		}
		part.Messages = upTo(part.Messages, page.Top.Offset)
		page.Messages = append(page.Messages, part.Messages...)
		if left >= 0 {
			left -= len(part.Messages)
		}
		n, reached := q.Within(page.Messages)
		page.Messages, page.More = page.Messages[:n], reached
		if reached || len(part.Messages) < ask.Limit || left == 0 {
			markHole(q, page, !reached)
			return true, nil
		}
		size = min(2*size, pageSize)
		last := page.Messages[len(page.Messages)-1]
		ask.Since = &message.Position{Epoch: page.Top.Epoch, Offset: last.Offset}
	}
}

// pageLimit is how many messages to ask for when left are still wanted.
func pageLimit(left, most int) int {
	if left < 0 {
		return most
	}
	return min(left, most)
}

// upTo leaves out what came after the answer's position was read.
func upTo(list []*message.Message, top uint64) []*message.Message {
	for len(list) > 0 && list[len(list)-1].Offset > top {
		list = list[:len(list)-1]
	}
	return list
}

func (l *Logs) readPage(ctx context.Context, name string, q engine.Query) (engine.Page, error) {
	keys, args := l.readCall(name, q)
	var reply rueidis.RedisResult
	err := l.Redis.Read(ctx, name, func(ctx context.Context) error {
		reply = l.Scripts.Read.Eval(ctx, l.Redis.Client(), keys, args...)
		return reply.Error()
	})
	if err != nil {
		return engine.Page{}, err
	}
	return readPage(name, q, script.ReplyOf(reply, 5))
}

// readCall is what the script read wants for q.
func (l *Logs) readCall(name string, q engine.Query) (keys, args []string) {
	of := l.Names.Of(name)
	_, age, _ := l.Limits(name)
	return []string{of.Log(), of.Meta()}, append([]string{l.Node, age}, since(q)...)
}

// decodeEntries reads log entries: [OFFSET-0, [t, time, v, via, m, meta, d, payload]].
func decodeEntries(channel, epoch string, entries []rueidis.RedisMessage) ([]*message.Message, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	list := make([]*message.Message, 0, len(entries))
	for i := range entries {
		pair, err := entries[i].ToArray()
		if err != nil || len(pair) != 2 {
			return nil, script.ErrReply
		}
		id, err := pair[0].ToString()
		if err != nil {
			return nil, script.ErrReply
		}
		number, _, _ := strings.Cut(id, "-")
		offset, err := wire.Decimal(number)
		if err != nil {
			return nil, fmt.Errorf("%w: entry id %q", script.ErrReply, id)
		}
		fields, err := pair[1].AsStrSlice()
		if err != nil {
			return nil, script.ErrReply
		}
		m, err := wire.DecodeEntry(channel, message.Position{Epoch: epoch, Offset: offset}, fields)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

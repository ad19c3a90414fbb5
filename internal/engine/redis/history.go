package redis

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"magpie/internal/engine"
	"magpie/internal/message"
)

const (
	// pageSize is the most messages one script call reads: it bounds how long
	// a reader of a long log holds up everybody else's Redis.
	pageSize = 512
	// pageTries bounds how often a read begins anew because the log changed
	// under it.
	pageTries = 4
	// positionsBatch channels are asked for in one script call.
	positionsBatch = 64
)

// History implements engine.Engine. A long answer is read in pages; if the
// log's start or timeline moves meanwhile, it is read again.
func (e *Engine) History(ctx context.Context, name string, q engine.Query) (engine.Page, error) {
	if e.cfg.Rules.For(name).Log.Size == 0 {
		return engine.Page{}, e.gate(name)
	}
	page, err := e.history(ctx, name, q, nil)
	if err != nil {
		return engine.Page{}, fmt.Errorf("history of %q: %w", name, err)
	}
	return page, nil
}

// begun is the first page of an answer, read already; limit is what it was
// asked for.
type begun struct {
	page  engine.Page
	limit int
}

func (e *Engine) history(ctx context.Context, name string, q engine.Query, first *begun) (page engine.Page, err error) {
	for range pageTries {
		whole, err := e.readAll(ctx, name, q, first, &page)
		if err != nil || whole {
			return page, err
		}
		first = nil
	}
	return page, fmt.Errorf("%w: the log changes faster than it can be read", engine.ErrUnavailable)
}

// readAll reads until q is satisfied. It is not whole when pages do not fit.
func (e *Engine) readAll(ctx context.Context, name string, q engine.Query, begun *begun, page *engine.Page) (whole bool, err error) {
	*page = engine.Page{}
	ask, left := q, q.Limit
	for first := true; ; first = false {
		var part engine.Page
		if first && begun != nil {
			part, ask.Limit = begun.page, begun.limit
		} else {
			ask.Limit = pageLimit(left, pageSize)
			if part, err = e.readPage(ctx, name, ask); err != nil {
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
		if len(part.Messages) < ask.Limit || left == 0 {
			return true, e.checkWhole(q, page)
		}
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

// checkWhole turns a hole inside the answer (an entry that was deleted by
// hand) into a gap: partial is worse than told.
func (e *Engine) checkWhole(q engine.Query, page *engine.Page) error {
	if q.Reverse || q.Since == nil || page.Gap != "" {
		return nil
	}
	next := q.Since.Offset + 1
	for _, m := range page.Messages {
		if m.Offset != next {
			page.Gap = message.GapTrimmed
			return nil
		}
		next++
	}
	if q.Limit == engine.All && next <= page.Top.Offset {
		page.Gap = message.GapTrimmed
	}
	return nil
}

func (e *Engine) readPage(ctx context.Context, name string, q engine.Query) (engine.Page, error) {
	names, args := e.readCall(name, q)
	var reply rueidis.RedisResult
	err := e.read(ctx, name, func(ctx context.Context) error {
		reply = e.script(readScript).eval(ctx, e.client, names, args...)
		return reply.Error()
	})
	if err != nil {
		return engine.Page{}, err
	}
	page, err := decodePage(name, q, reply)
	if err != nil {
		return engine.Page{}, engine.Unavailable("%w", err)
	}
	return page, nil
}

// readCall is what readScript wants for q.
func (e *Engine) readCall(name string, q engine.Query) (names, args []string) {
	since, way := message.Position{}, "forward"
	if q.Since != nil {
		since = *q.Since
		if since.Epoch == "" {
			since.Epoch = "-" // no epoch is called so: lost
		}
	}
	switch {
	case q.Reverse:
		way = "reverse"
	case q.Resume:
		way = "resume"
	}
	return []string{e.keys.log(name), e.keys.meta(name)}, []string{
		e.node, millis(e.cfg.Rules.For(name).Log.Age),
		since.Epoch, strconv.FormatUint(since.Offset, 10), strconv.Itoa(q.Limit), way,
	}
}

func decodePage(name string, q engine.Query, reply rueidis.RedisResult) (engine.Page, error) {
	list, err := reply.ToArray()
	if err != nil || len(list) != 5 {
		return engine.Page{}, errReply
	}
	epoch, err1 := list[0].ToString()
	top, err2 := list[1].AsUint64()
	gap, err3 := list[2].ToString()
	entries, err4 := list[3].ToArray()
	reach, err5 := list[4].AsUint64()
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil || err5 != nil {
		return engine.Page{}, errReply
	}
	page := engine.Page{Top: message.Position{Epoch: epoch, Offset: top}, Gap: message.GapReason(gap), Reach: reach}
	if q.Reverse {
		page.Gap = ""
	}
	page.Messages = make([]*message.Message, 0, len(entries))
	for i := range entries {
		m, err := decodeEntry(name, epoch, &entries[i])
		if err != nil {
			return engine.Page{}, err
		}
		page.Messages = append(page.Messages, m)
	}
	if len(page.Messages) == 0 {
		page.Messages = nil
	}
	return page, nil
}

// decodeEntry reads one log entry: [OFFSET-0, [t, time, v, via, m, meta, d, payload]].
func decodeEntry(name, epoch string, entry *rueidis.RedisMessage) (*message.Message, error) {
	pair, err := entry.ToArray()
	if err != nil || len(pair) != 2 {
		return nil, errReply
	}
	id, err := pair[0].ToString()
	if err != nil {
		return nil, errReply
	}
	number, _, _ := strings.Cut(id, "-")
	offset, err := parseDecimal(number)
	if err != nil {
		return nil, fmt.Errorf("%w: entry id %q", errReply, id)
	}
	fields, err := pair[1].AsStrSlice()
	if err != nil {
		return nil, errReply
	}
	return entryMessage(name, message.Position{Epoch: epoch, Offset: offset}, fields)
}

func entryMessage(name string, at message.Position, fields []string) (*message.Message, error) {
	if len(fields) != 8 || fields[0] != "t" || fields[2] != "v" || fields[4] != "m" || fields[6] != "d" {
		return nil, fmt.Errorf("%w: log entry %d of %q has fields that are not Magpie's", errReply, at.Offset, name)
	}
	time, err := parseDecimal(fields[1])
	if err != nil {
		return nil, fmt.Errorf("%w: time of log entry %d", errReply, at.Offset)
	}
	m := &message.Message{Channel: name, Position: at, Payload: bytesOf(fields[7]), Time: int64(time), Via: internVia(fields[3])}
	return m, decodeMeta(m, fields[5])
}

// Positions implements engine.Engine.
func (e *Engine) Positions(ctx context.Context, channels []string) ([]message.Position, error) {
	tops := make([]message.Position, len(channels))
	var logged []int // indexes of the channels that have a log
	for i, name := range channels {
		if e.cluster != nil && len(channels) > 1 && e.silence(name) != nil {
			continue // its own reading says what is wrong
		}
		if e.cfg.Rules.For(name).Log.Size > 0 {
			logged = append(logged, i)
		}
	}
	if len(logged) == 0 {
		return tops, e.gate("")
	}
	size := positionsBatch
	if e.cluster != nil {
		size = 1 // a script has the keys of one slot
	}
	batches := slices.Collect(slices.Chunk(logged, size))
	err := e.read(ctx, "", func(ctx context.Context) error { return e.positions(ctx, channels, batches, tops) })
	if err != nil {
		return nil, fmt.Errorf("positions of %d channels: %w", len(channels), err)
	}
	return tops, nil
}

func (e *Engine) positions(ctx context.Context, channels []string, batches [][]int, tops []message.Position) error {
	replies, err := e.askPositions(ctx, channels, batches)
	if err != nil {
		return err
	}
	for b, reply := range replies {
		err := decodePositions(reply, batches[b], tops)
		if isForeign(err) && len(channels) > 1 {
			err = e.positionsApart(ctx, channels, batches[b], tops)
		}
		if err != nil && e.cluster != nil && len(channels) > 1 && ctx.Err() == nil {
			err = nil // as above: one master keeps no other from its answer
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isForeign tells whether a key of ours holds something that is not ours.
func isForeign(err error) bool {
	_, answered := rueidis.IsRedisErr(err)
	return answered && strings.Contains(err.Error(), "WRONGTYPE")
}

// positionsApart asks for each channel by itself. One whose keys hold something
// foreign keeps no other from its answer; its own stays zero, which is no log's
// position, so that its reading says what is wrong.
func (e *Engine) positionsApart(ctx context.Context, channels []string, batch []int, tops []message.Position) error {
	alone := slices.Collect(slices.Chunk(batch, 1))
	replies, err := e.askPositions(ctx, channels, alone)
	if err != nil {
		return err
	}
	for b, reply := range replies {
		err := decodePositions(reply, alone[b], tops)
		if isForeign(err) {
			if e.broken.allow() {
				e.cfg.Log.Error("a key of a channel holds something that is not Magpie's; delete it", "channel", channels[alone[b][0]], "error", err)
			}
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) askPositions(ctx context.Context, channels []string, batches [][]int) ([]rueidis.RedisResult, error) {
	commands := func() rueidis.Commands {
		cmds := make(rueidis.Commands, 0, len(batches))
		for _, batch := range batches {
			names, args := make([]string, 0, 2*len(batch)), []string{e.node}
			for _, i := range batch {
				names = append(names, e.keys.log(channels[i]), e.keys.meta(channels[i]))
				args = append(args, millis(e.cfg.Rules.For(channels[i]).Log.Age))
			}
			cmds = append(cmds, e.script(positionsScript).call(e.client.B(), names, args...))
		}
		return cmds
	}
	replies := e.client.DoMulti(ctx, commands()...)
	if slices.ContainsFunc(replies, func(r rueidis.RedisResult) bool { return isNoScript(r.Error()) }) {
		if err := e.load(ctx, positionsScript); err != nil {
			return nil, err
		}
		replies = e.client.DoMulti(ctx, commands()...)
	}
	return replies, nil
}

func decodePositions(reply rueidis.RedisResult, batch []int, tops []message.Position) error {
	if err := reply.Error(); err != nil {
		return err
	}
	words, err := reply.AsStrSlice()
	if err != nil || len(words) != 2*len(batch) {
		return errReply
	}
	for k, i := range batch {
		offset, err := parseDecimal(words[2*k+1])
		if err != nil {
			return errReply
		}
		tops[i] = message.Position{Epoch: words[2*k], Offset: offset}
	}
	return nil
}

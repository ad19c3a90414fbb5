package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"magpie/internal/engine"
	"magpie/internal/engine/redis/script"
)

const (
	// notesEvery is how often a node asks for notes that it has not got: one
	// command, whose answer is empty most of the time.
	notesEvery = 500 * time.Millisecond
	// notesPage is how many are read, or put back, in one call.
	notesPage = 500
)

// notes are what Redis keeps for all nodes to know for a while. Each node reads
// what is new, and puts back all that it knows when Redis is not what it was.
type notes struct {
	script.Env
	node engine.Node // set by Start
	kick chan struct{}
	last uint64 // place of the last note that was read; owned by first, then by run
}

func newNotes(e script.Env) *notes { return &notes{Env: e, kick: make(chan struct{}, 1)} }

// Keep implements engine.Notes.
func (n *notes) Keep(ctx context.Context, list []engine.Note) error { return n.keep(ctx, list, "set") }

// keep keeps notes; how is set, or add for those alone that are not there.
func (n *notes) keep(ctx context.Context, list []engine.Note, how string) error {
	ends, order := n.Names.Notes()
	for part := range slices.Chunk(list, notesPage) {
		args := []string{how, strconv.Itoa(engine.MaxNotes)}
		for _, note := range part {
			args = append(args, strconv.FormatInt(note.Ends, 10), note.Text)
		}
		reply, err := n.Scripts.Eval(ctx, n.Scripts.Keep, []string{ends, order}, args...)
		if err != nil {
			return fmt.Errorf("keep notes: %w", err)
		}
		kept, err := reply.AsInt64()
		if err != nil {
			return fmt.Errorf("keep notes: %w", engine.Unavailable("%w", script.ErrReply))
		}
		if kept == 0 {
			return engine.ErrManyNotes
		}
	}
	return nil
}

// check has run read all notes again soon and put back what is gone, without waiting.
func (n *notes) check() {
	select {
	case n.kick <- struct{}{}:
	default:
	}
}

// first reads all notes, before anybody is served.
func (n *notes) first(ctx context.Context) error {
	if err := n.read(ctx); err != nil {
		return fmt.Errorf("read notes: %w", err)
	}
	return nil
}

// run reads what is new until ctx ends. A Redis that is away says so elsewhere.
func (n *notes) run(ctx context.Context) {
	tick := time.NewTicker(notesEvery)
	defer tick.Stop()
	again := false // all are to be read again
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.kick:
			again = true
		case <-tick.C:
		}
		if again {
			n.last = 0
		}
		if n.read(ctx) == nil && again {
			again = errors.Is(n.putBack(ctx), engine.ErrUnavailable)
		}
	}
}

func (n *notes) putBack(ctx context.Context) error {
	if n.node.Notes == nil {
		return nil
	}
	return n.keep(ctx, n.node.Notes(), "add")
}

// read hands on the notes behind the last one that was read.
func (n *notes) read(ctx context.Context) error {
	for {
		list, more, err := n.page(ctx)
		if err != nil {
			return err
		}
		if len(list) > 0 && n.node.Note != nil {
			n.node.Note(list)
		}
		if !more {
			return nil
		}
	}
}

func (n *notes) page(ctx context.Context) (list []engine.Note, more bool, err error) {
	ends, order := n.Names.Notes()
	res, err := n.Scripts.Eval(ctx, n.Scripts.News, []string{ends, order}, strconv.FormatUint(n.last, 10), strconv.Itoa(notesPage))
	if err != nil {
		return nil, false, err
	}
	r := script.ReplyOf(res, -1)
	last := n.last
	for r.More() {
		note := engine.Note{Text: r.Text(), Ends: int64(r.Number())}
		last = r.Number()
		list = append(list, note)
	}
	if err := r.Err(); err != nil {
		return nil, false, err
	}
	n.last = last
	return list, len(list) == notesPage, nil
}

package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
)

// Limits of a batch.
const (
	maxBatch      = 10_000 // commands
	batchWorkers  = 16     // commands at once, where the caller allows it
	manyOrNothing = "a command is an object with one method's name, as in {\"publish\":{…}}"
)

// batchRequest holds commands, each an object with one member: the method's
// name and its body.
type batchRequest struct {
	Commands []map[string]json.RawMessage `json:"commands"`
	Parallel bool                         `json:"parallel"`
}

// batchReply answers a batch. Replies are in the order of the commands.
type batchReply struct {
	Replies []map[string]any `json:"replies"`
}

func (s *Server) answerBatch(w http.ResponseWriter, r *http.Request, ctx context.Context, body []byte) error {
	replies, err := s.batch(ctx, body)
	if err != nil {
		s.calls[batchMethod].Failed.Add(1)
		failed := s.told(batchMethod, err)
		return s.answer(w, r, reply{Error: failed}, failed)
	}
	s.calls[batchMethod].Good.Add(1)
	return s.answer(w, r, batchReply{replies}, nil)
}

// batch runs the commands one after the other, or some at once. A command
// that fails keeps none of the others back.
func (s *Server) batch(ctx context.Context, body []byte) ([]map[string]any, error) {
	var q batchRequest
	if err := decode(body, &q); err != nil {
		return nil, err
	}
	switch {
	case len(q.Commands) == 0:
		return nil, bad("commands is missing")
	case len(q.Commands) > maxBatch:
		return nil, wrong(CodeLimit, fmt.Sprintf("%d commands are the most for one batch", maxBatch))
	}
	replies := make([]map[string]any, len(q.Commands))
	if !q.Parallel {
		for i, c := range q.Commands {
			replies[i] = s.command(ctx, c)
		}
		return replies, nil
	}
	var all sync.WaitGroup
	next := make(chan int)
	for range min(batchWorkers, len(q.Commands)) {
		all.Go(func() {
			for i := range next {
				replies[i] = s.command(ctx, q.Commands[i])
			}
		})
	}
	for i := range q.Commands {
		next <- i
	}
	close(next)
	all.Wait()
	return replies, nil
}

func (s *Server) command(ctx context.Context, c map[string]json.RawMessage) map[string]any {
	if len(c) != 1 {
		return map[string]any{"error": bad(manyOrNothing)}
	}
	for name, body := range c {
		if single[name] == nil {
			return map[string]any{"error": wrong(CodeNoMethod, "a batch holds any method but batch")}
		}
		result, failed := s.call(ctx, name, body)
		if failed != nil {
			return map[string]any{"error": failed}
		}
		return map[string]any{name: result}
	}
	panic("unreachable: the map has one entry")
}

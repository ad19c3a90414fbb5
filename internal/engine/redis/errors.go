package redis

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/rueidis"

	"magpie/internal/engine"
)

// reasons are Redis's own words for what keeps it from serving, and ours for
// the operator. Older versions bury the word inside a script's error, so it is
// looked for anywhere.
var reasons = []struct{ word, text string }{
	{"LOADING", "it is still loading its data"},
	{"READONLY", "it is a read-only replica; point Magpie to the master"},
	{"OOM", "it is out of memory; raise its maxmemory or shorten the logs"},
	{"MISCONF", "it cannot save to disk and refuses writes; look at its log"},
	{"BUSY", "a script keeps it busy; end that with SCRIPT KILL"},
	{"MASTERDOWN", "its link to the master is down"},
	{"NOREPLICAS", "too few replicas are connected (min-replicas-to-write)"},
	{"CLUSTERDOWN", "its cluster is down"},
	{"NOAUTH", "it wants a password; put it into the URL as redis://:PASSWORD@HOST"},
	{"WRONGPASS", "it does not accept this user and password"},
	{"NOPERM", "its ACL does not allow this user what Magpie needs; see docs/redis.md"},
	{"DB index is out of range", "it has no database of the number in the URL; give one that it has (its setting databases), or leave the number out"},
	{"max number of clients", "it has no free connection (maxclients)"},
}

// explain returns a plain sentence for a Redis error, or "".
func explain(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	for _, r := range reasons {
		if strings.Contains(text, r.word) {
			return r.text
		}
	}
	return ""
}

// failure turns the client's errors into the contract's.
func (e *Engine) failure(err error) error {
	switch {
	case err == nil, rueidis.IsRedisNil(err):
		return nil
	case errors.Is(err, engine.ErrUnavailable), errors.Is(err, engine.ErrClosed):
		return err
	case e.closed.Load():
		return engine.ErrClosed
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return engine.Unavailable("Redis at %s did not answer in time: %w", e.addr, err)
	}
	if reply, ok := rueidis.IsRedisErr(err); ok {
		if strings.Contains(reply.Error(), "CONFLICT ") {
			return engine.ErrConflict
		}
		if text := explain(err); text != "" {
			return engine.Unavailable("Redis at %s: %s (%w)", e.addr, text, err)
		}
		return engine.Unavailable("Redis at %s answered: %w", e.addr, err)
	}
	return engine.Unavailable("the connection to Redis at %s failed: %w", e.addr, err)
}

var errReply = errors.New("Redis gave an answer of an unexpected form")

package topology

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/rueidis"

	"magpie/internal/engine"
)

// reasons are Redis's own words for what keeps it from serving, and ours for
// the operator. Older versions have the word inside a script's error, so it is
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

// Explain returns a plain sentence for a Redis error, or "".
func Explain(err error) string {
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

// Failure turns the client's errors into the contract's.
func (r *Redis) Failure(err error) error {
	switch {
	case err == nil, rueidis.IsRedisNil(err):
		return nil
	case errors.Is(err, engine.ErrUnavailable), errors.Is(err, engine.ErrClosed):
		return err
	case r.closed.Load():
		return engine.ErrClosed
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return engine.Unavailable("Redis at %s did not answer in time: %w", r.Addr, err)
	}
	if reply, ok := rueidis.IsRedisErr(err); ok {
		if strings.Contains(reply.Error(), "CONFLICT ") {
			return engine.ErrConflict
		}
		if text := Explain(err); text != "" {
			return engine.Unavailable("Redis at %s: %s (%w)", r.Addr, text, err)
		}
		return engine.Unavailable("Redis at %s answered: %w", r.Addr, err)
	}
	return engine.Unavailable("the connection to Redis at %s failed: %w", r.Addr, err)
}

// Answered tells whether Redis itself answered with this error. Any other is of
// the connection or the context.
func Answered(err error) bool {
	_, ok := rueidis.IsRedisErr(err)
	return ok
}

// Moving tells whether a slot, or keys of it, are at another master.
func Moving(err error) bool {
	reply, ok := rueidis.IsRedisErr(err)
	if !ok {
		return false
	}
	_, moved := reply.IsMoved()
	_, ask := reply.IsAsk()
	return moved || ask || reply.IsTryAgain()
}

// Elsewhere tells whether Redis refuses a name for its slot alone.
func Elsewhere(err error) bool {
	reply, ok := rueidis.IsRedisErr(err)
	if !ok {
		return false
	}
	return Moving(err) || reply.IsClusterDown() || reply.IsLoading() || strings.HasPrefix(reply.Error(), "MASTERDOWN")
}

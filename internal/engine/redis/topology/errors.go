package topology

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/redis/rueidis"

	"magpie/internal/engine"
)

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
		return r.refusal(err)
	}
	if why := r.left.Load(); why != nil && errors.Is(err, net.ErrClosed) {
		return unanswered(r.Addr, *why)
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

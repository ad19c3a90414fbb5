package script

import (
	"errors"

	"github.com/redis/rueidis"

	"magpie/internal/engine"
)

// ErrReply: an answer that is none of the script's.
var ErrReply = errors.New("Redis gave an answer of an unexpected form")

// Reply reads the answer of a script, an array, piece by piece. What does not
// fit is remembered: Err tells.
type Reply struct {
	list []rueidis.RedisMessage
	err  error
}

// Failed is the Reply of a call that was not sent.
func Failed(err error) Reply { return Reply{err: err} }

// ReplyOf is for an answer of n pieces, or of any number when n is -1. Err
// answers the call's own error first.
func ReplyOf(reply rueidis.RedisResult, n int) Reply {
	if err := reply.Error(); err != nil {
		return Reply{err: err}
	}
	list, err := reply.ToArray()
	if err != nil || n >= 0 && len(list) != n {
		return Reply{err: ErrReply}
	}
	return Reply{list: list}
}

// next reads one piece.
func next[T any](r *Reply, as func(*rueidis.RedisMessage) (T, error)) (piece T) {
	if r.err == nil && len(r.list) == 0 {
		r.err = ErrReply
	}
	if r.err != nil {
		return piece
	}
	piece, err := as(&r.list[0])
	r.list = r.list[1:]
	if err != nil {
		r.err = ErrReply
	}
	return piece
}

// More tells whether there is another piece to read.
func (r *Reply) More() bool { return r.err == nil && len(r.list) > 0 }

// Text reads a string.
func (r *Reply) Text() string { return next(r, (*rueidis.RedisMessage).ToString) }

// List reads an array.
func (r *Reply) List() []rueidis.RedisMessage { return next(r, (*rueidis.RedisMessage).ToArray) }

// Number reads an integer, or a string of digits.
func (r *Reply) Number() uint64 {
	n := next(r, (*rueidis.RedisMessage).AsInt64)
	if n < 0 {
		r.err = ErrReply
	}
	return uint64(max(n, 0))
}

// Err is nil when all that was read had its form.
func (r *Reply) Err() error {
	if r.err == ErrReply {
		return engine.Unavailable("%w", ErrReply)
	}
	return r.err
}

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

func (r *Reply) next() *rueidis.RedisMessage {
	if r.err != nil || len(r.list) == 0 {
		r.fail(ErrReply)
		return nil
	}
	m := &r.list[0]
	r.list = r.list[1:]
	return m
}

func (r *Reply) fail(err error) {
	if r.err == nil && err != nil {
		r.err = ErrReply
	}
}

// Text reads a string.
func (r *Reply) Text() (text string) {
	if m := r.next(); m != nil {
		var err error
		text, err = m.ToString()
		r.fail(err)
	}
	return text
}

// Number reads an integer, or a string of digits.
func (r *Reply) Number() uint64 {
	m := r.next()
	if m == nil {
		return 0
	}
	signed, err := m.AsInt64()
	if signed < 0 {
		err = ErrReply
	}
	r.fail(err)
	return uint64(signed)
}

// List reads an array.
func (r *Reply) List() (list []rueidis.RedisMessage) {
	if m := r.next(); m != nil {
		var err error
		list, err = m.ToArray()
		r.fail(err)
	}
	return list
}

// Err is nil when all that was read had its form.
func (r *Reply) Err() error {
	if r.err == ErrReply {
		return engine.Unavailable("%w", ErrReply)
	}
	return r.err
}

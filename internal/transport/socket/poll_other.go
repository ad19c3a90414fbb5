//go:build !linux

package socket

import "errors"

// Elsewhere every connection has a reader of its own.
const canPoll = false

type poller[C Watched] struct{}

func (*poller[C]) start(*shard[C], Config) error { return nil }
func (*poller[C]) close()                        {}
func (*poller[C]) watch(C) error                 { return errors.ErrUnsupported }
func (*poller[C]) unwatch(C)                     {}

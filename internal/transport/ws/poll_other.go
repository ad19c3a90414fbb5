//go:build !linux

package ws

import "errors"

// Elsewhere every connection has a reader of its own.
const canPoll = false

type poller struct{}

func (*poller) start(*shard) error { return nil }
func (*poller) close()             {}
func (*poller) watch(*Conn) error  { return errors.ErrUnsupported }
func (*poller) unwatch(*Conn)      {}

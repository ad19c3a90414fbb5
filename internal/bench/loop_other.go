//go:build !linux

package bench

import "errors"

// haveThread: one thread for all connections needs epoll.
const haveThread = false

func newThread() (loop, error) { return nil, errors.ErrUnsupported }

package stream

import (
	"context"
	"errors"
)

// Close refuses new streams, ends those that were taken over and are left
// (sessions have been closed before), waits for them and stops the pollers.
// When ctx ends earlier it closes their sockets and returns its error. Streams
// that net/http kept are net/http's to wait for. May be called again.
func (s *Server) Close(ctx context.Context) error {
	s.refuse()
	s.each((*Conn).Close)
	var err error
	select {
	case <-s.idle:
	case <-ctx.Done():
		err = errors.Join(ErrClosed, ctx.Err())
		s.each((*Conn).drop)
	}
	s.stopPollers()
	return err
}

func (s *Server) refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.down.Swap(true) && s.live == 0 {
		close(s.idle)
	}
}

func (s *Server) each(f func(*Conn)) {
	for _, sh := range s.shards {
		for _, c := range sh.All() {
			f((*Conn)(c))
		}
	}
}

func (s *Server) stopPollers() {
	for _, sh := range s.shards {
		sh.Close()
	}
}

package redis

import (
	"sync"
	"time"
)

// seldom lets a log line through at most once a minute.
type seldom struct {
	mu   sync.Mutex
	last time.Time
}

func (s *seldom) allow() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); s.last.IsZero() || now.Sub(s.last) >= time.Minute {
		s.last = now
		return true
	}
	return false
}

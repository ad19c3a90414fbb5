package session

import (
	"time"

	"magpie/internal/fault"
)

// backlog is what a session missed and what it asked for of a log, while some of
// it waits: bytes that do not count against the outbox's bound. A client that
// was away is not slow, and cutting it off for what it came to fetch would never
// end. It has a time instead. Guarded by Session.mu.
type backlog struct {
	bytes    int // to be written, before all else in the outbox
	reserved int // in the budget, for frames that Join found and nobody has sent yet
	began    time.Time
	timer    *time.Timer // ends the session; nil before there are bytes
	size     int         // bytes since began
}

const (
	// backlogGrace is what every backlog may take. A client that has just come
	// back may still be setting up its page.
	backlogGrace = 10 * time.Second
	// backlogRate is what a client has to read beside that, in bytes a second:
	// 0.5 Mbit/s, which slow mobile networks carry.
	backlogRate = 64 << 10
	// backlogMost ends the patience with clients that ask for more and more. 16 MB
	// in a minute are 2.2 Mbit/s.
	backlogMost = time.Minute
)

// SendBacklog writes or queues what a session missed, behind what waits. What
// has not been read in time ends the session: others wait for its room.
func (s *Session) SendBacklog(frame []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason != "" {
		return
	}
	b := s.backlogLocked()
	fresh := len(frame) - min(len(frame), b.reserved)
	b.reserved -= len(frame) - fresh
	b.bytes += len(frame)
	b.size += len(frame)
	s.shared.Budget.bytes.Add(int64(fresh))
	s.limitBacklogLocked(b)
	s.out.queue = append(s.out.queue, frame)
	if s.out.attached && !s.out.writing {
		s.flushLocked()
	}
}

func (s *Session) backlogLocked() *backlog {
	if s.out.backlog == nil {
		s.out.backlog = new(backlog)
	}
	return s.out.backlog
}

// limitBacklogLocked sets when the backlog has to be read.
func (s *Session) limitBacklogLocked(b *backlog) {
	if b.timer == nil {
		b.began = time.Now()
		b.timer = time.AfterFunc(backlogMost, func() { s.backlogLate(b) })
	}
	most := min(backlogGrace+time.Duration(b.size)*time.Second/backlogRate, backlogMost)
	b.timer.Reset(time.Until(b.began.Add(most)))
}

func (s *Session) backlogLate(b *backlog) {
	s.mu.Lock()
	late := s.out.backlog == b && b.bytes > 0
	s.mu.Unlock()
	if late {
		s.Close(fault.ReasonSlow)
	}
}

// writtenBacklogLocked takes what was written, which the backlog comes first of,
// and returns how much of it was backlog.
func (s *Session) writtenBacklogLocked(size int) int {
	b := s.out.backlog
	if b == nil {
		return 0
	}
	size = min(size, b.bytes)
	b.bytes -= size
	s.shared.Budget.bytes.Add(-int64(size))
	if b.bytes == 0 && b.reserved == 0 {
		s.dropBacklogLocked()
	}
	return size
}

// dropBacklogLocked forgets the backlog and gives back its part of the budget.
func (s *Session) dropBacklogLocked() {
	b := s.out.backlog
	if b == nil {
		return
	}
	if b.timer != nil {
		b.timer.Stop()
	}
	s.shared.Budget.bytes.Add(-int64(b.bytes + b.reserved))
	s.out.backlog = nil
}

// BacklogSent says that what Join found has been sent, or will not be: what the
// budget still holds for it is given back. Whoever calls Join calls it.
func (s *Session) BacklogSent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.out.backlog; b != nil {
		s.shared.Budget.bytes.Add(-int64(b.reserved))
		b.reserved = 0
		if b.bytes == 0 {
			s.dropBacklogLocked()
		}
	}
}

package session

import "magpie/internal/fault"

// The outbox is what a session has still to write. Four rules:
//
//  1. Frames leave in the order of Send, whole, and never two at a time.
//  2. Nothing is written and nothing waits while the lock is held.
//  3. An idle session has no goroutine and no buffer: a frame is written at
//     once by its sender, and a flusher lives only while something waits.
//  4. What waits is bounded in bytes; past the bound the session is slow and
//     is closed (D8). Nothing is ever dropped from the middle.

// outbox is guarded by Session.mu.
type outbox struct {
	attached bool     // the link can be written to
	writing  bool     // somebody writes to the link, or a flusher will
	queue    [][]byte // frames behind what is being written
	queued   int      // bytes in queue and in the flusher's hands, but for those of backlog
	backlog  *backlog // nil: none
}

// Send writes the frame or queues it. The bytes are shared: they must not
// change. It never blocks.
func (s *Session) Send(frame []byte) {
	s.mu.Lock()
	switch {
	case s.reason != "":
		s.mu.Unlock()
		return
	case s.out.writing || !s.out.attached:
		full := !s.queueLocked(frame)
		s.mu.Unlock()
		if full {
			s.Close(fault.ReasonSlow)
		}
		return
	}
	s.out.writing = true
	s.mu.Unlock()
	n, err := s.link.TryWrite(frame)
	s.wrote(frame[n:], err)
}

// queueLocked puts a frame behind the others. A single frame is never too
// big, so that a limit under the size of a message starves nobody.
func (s *Session) queueLocked(frame []byte) bool {
	if s.out.queued > 0 && s.out.queued+len(frame) > s.shared.Outbox {
		return false
	}
	s.out.queue = append(s.out.queue, frame)
	s.out.queued += len(frame)
	return true
}

// wrote ends a direct write: rest is what the kernel did not take.
func (s *Session) wrote(rest []byte, err error) {
	if err != nil {
		s.Close(fault.ReasonClient)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(rest) > 0 && s.reason == "" {
		s.out.queue = append([][]byte{rest}, s.out.queue...)
		s.out.queued += len(rest)
	}
	s.flushLocked()
}

// flushLocked leaves writing to a flusher, or to nobody when nothing waits.
func (s *Session) flushLocked() {
	s.out.writing = len(s.out.queue) > 0
	if s.out.writing {
		s.shared.Flushed.Add(1)
		s.shared.flushers.Go(s.flush)
	}
}

// flush writes until nothing waits.
func (s *Session) flush() {
	for {
		s.mu.Lock()
		frames := s.out.queue
		s.out.queue = nil
		if len(frames) == 0 {
			s.out.writing = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		size := 0
		for _, f := range frames {
			size += len(f)
		}
		if err := s.link.Write(frames); err != nil {
			s.Close(fault.ReasonSlow)
			return
		}
		s.written(size)
	}
}

func (s *Session) written(size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.queued -= size - s.writtenBacklogLocked(size)
}

// Waiting returns the bytes that have still to be written, backlog included.
func (s *Session) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out.backlog == nil {
		return s.out.queued
	}
	return s.out.queued + s.out.backlog.bytes
}

// Attach says that the link can be written to now, and lets go what waits.
func (s *Session) Attach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason == "" {
		s.out.attached = true
		s.flushLocked()
	}
}

// dropQueueLocked forgets what waits, when the session closes.
func (s *Session) dropQueueLocked() {
	s.out.queue = nil
	s.dropBacklogLocked()
}

package node

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"magpie/internal/engine"
	"magpie/internal/fault"
)

// ErrTooMuch: the answer of all nodes together is too long to be put
// together here.
var ErrTooMuch = &fault.Fault{Kind: fault.Limit, Message: "answer too long; ask for fewer channels with pattern"}

// answerBytes bounds what one question may bring together, in bytes;
// partBytes is where a node begins another part of its answer, small beside
// what Redis lets a slow subscriber have.
const (
	answerBytes = 64 << 20
	partBytes   = 256 << 10
)

// survey is one question of this node to all nodes. Guarded by Peers.mu, but
// for complete.
type survey struct {
	reached  int // -1: not known yet
	done     map[string]bool
	parts    [][]byte
	bytes    int
	tooMuch  bool
	complete chan struct{} // closed when all have answered
	closed   bool
}

func (s *survey) checkLocked() {
	if !s.closed && (s.tooMuch || s.reached >= 0 && len(s.done) >= s.reached) {
		s.closed = true
		close(s.complete)
	}
}

// answers is what a question brought.
type answers struct {
	parts   [][]byte
	reached int // nodes that got the question
	missing int // of them, those that did not answer in time
}

// ask asks all nodes and waits until they have answered, or for Timeout, or
// until ctx ends. What is missing then is told, not an error.
func (n *Peers) ask(ctx context.Context, kind string, body []byte) (answers, error) {
	ctx, cancel := context.WithTimeout(ctx, n.Timeout)
	defer cancel()
	defer context.AfterFunc(n.life, cancel)()
	id, s := n.newSurvey()
	defer n.forget(id)
	reached, err := n.send(ctx, "", header{Kind: kind, IDs: []uint64{id}}, body)
	if err != nil {
		return answers{}, err
	}
	if reached == 0 { // not even this node: it does not hear itself
		return answers{}, engine.Unavailable("%s: no node took it", kind)
	}
	n.expect(s, reached)
	select {
	case <-s.complete:
	case <-ctx.Done():
	}
	return n.result(s)
}

func (n *Peers) newSurvey() (uint64, *survey) {
	s := &survey{reached: -1, done: map[string]bool{}, complete: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lastID++
	n.surveys[n.lastID] = s
	return n.lastID, s
}

func (n *Peers) forget(id uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.surveys, id)
}

func (n *Peers) expect(s *survey, reached int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s.reached = reached
	s.checkLocked()
}

func (n *Peers) result(s *survey) (answers, error) {
	n.mu.Lock()
	a := answers{parts: s.parts, reached: s.reached, missing: max(0, s.reached-len(s.done))}
	tooMuch := s.tooMuch
	s.closed = true // what comes later is not kept
	n.mu.Unlock()
	if n.life.Err() != nil {
		return answers{}, fmt.Errorf("ask the nodes: %w", engine.ErrClosed)
	}
	if tooMuch {
		return answers{}, fmt.Errorf("%w: more than %d MB", ErrTooMuch, answerBytes>>20)
	}
	if a.missing > 0 {
		n.Metrics.Partial.Add(1)
	}
	return a, nil
}

// answered takes an answer, or a part of one, from the engine's goroutine.
func (n *Peers) answered(h header, body []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, id := range h.IDs {
		if s := n.surveys[id]; s != nil && !s.closed {
			s.takeLocked(h, body)
		}
	}
}

func (s *survey) takeLocked(h header, body []byte) {
	if s.done[h.From] {
		return
	}
	if len(body) > 0 {
		s.bytes += len(body)
		s.tooMuch = s.bytes > answerBytes
		s.parts = append(s.parts, bytes.Clone(body))
	}
	if !h.More {
		s.done[h.From] = true
	}
	s.checkLocked()
}

// answerTimeout bounds how long an answer holds up the worker.
const answerTimeout = 2 * time.Second

// answer sends one part. It tells whether more can follow.
func (n *Peers) answer(to string, ids []uint64, body []byte, more bool) bool {
	ctx, cancel := context.WithTimeout(n.life, answerTimeout)
	defer cancel()
	reached, err := n.send(ctx, to, header{Kind: kindAnswer, IDs: ids, More: more}, body)
	if err != nil && n.life.Err() == nil {
		n.Log.Warn("another node's question could not be answered", "node", to, "error", err)
	}
	return err == nil && reached > 0
}

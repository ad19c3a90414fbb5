package node

import "testing"

// The answers of a great cluster are put together up to a bound.
func TestTooLongAnAnswerEndsTheQuestion(t *testing.T) {
	s := &survey{reached: 2, done: map[string]bool{}, complete: make(chan struct{}), bytes: answerBytes - 1}
	s.takeLocked(header{From: "a", More: true}, []byte("x"))
	if s.closed {
		t.Fatal("ended at the bound")
	}
	s.takeLocked(header{From: "a", More: true}, []byte("x"))
	if !s.closed || !s.tooMuch {
		t.Error("goes on over the bound")
	}
}

// A node that answers twice is one node.
func TestOneNodeAnswersOnce(t *testing.T) {
	s := &survey{reached: 2, done: map[string]bool{}, complete: make(chan struct{})}
	s.takeLocked(header{From: "a"}, []byte("1"))
	s.takeLocked(header{From: "a"}, []byte("2"))
	if s.closed || len(s.parts) != 1 {
		t.Errorf("closed %v, %q", s.closed, s.parts)
	}
	s.takeLocked(header{From: "b"}, nil)
	if !s.closed {
		t.Error("both answered and it waits")
	}
}

package main

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// transcript keeps what a process writes and lets tests wait for a line.
type transcript struct {
	mu      sync.Mutex
	written strings.Builder
	more    chan struct{} // closed and replaced with each write
}

func newTranscript() *transcript { return &transcript{more: make(chan struct{})} }

func (tr *transcript) Write(b []byte) (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	close(tr.more)
	tr.more = make(chan struct{})
	return tr.written.Write(b)
}

func (tr *transcript) text() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.written.String()
}

func (tr *transcript) find(part string) (line string, more chan struct{}) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for l := range strings.Lines(tr.written.String()) {
		if strings.Contains(l, part) && strings.HasSuffix(l, "\n") {
			return strings.TrimSuffix(l, "\n"), nil
		}
	}
	return "", tr.more
}

// wait returns the first whole line that contains part.
func (tr *transcript) wait(t *testing.T, done <-chan struct{}, part string) string {
	t.Helper()
	limit := time.After(patience)
	for ended := false; ; {
		line, more := tr.find(part)
		if more == nil {
			return line
		}
		if ended {
			t.Fatalf("it ended without a line with %q; it said:\n%s", part, tr.text())
		}
		select {
		case <-more:
		case <-done:
			ended, done = true, nil
		case <-limit:
			t.Fatalf("no line with %q came; it said:\n%s", part, tr.text())
		}
	}
}

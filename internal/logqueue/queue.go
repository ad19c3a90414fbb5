// Package logqueue puts a bounded queue between a log and its reader, so that
// a reader who is slow, hangs or has gone never holds up who logs.
//
// It drops lines rather than wait, counts them, and tells when lines flow
// again. It does not know what a line looks like, and does not keep what the
// reader never took. Each Queue has one goroutine, which Close ends.
package logqueue

import (
	"bytes"
	"context"
	"io"
	"sync"

	"magpie/internal/metrics"
)

const (
	// limit is how many bytes wait at most: about a thousand lines.
	limit = 256 << 10
	// keep is how large a buffer may be that is used again. Larger ones stand
	// for a burst that is over.
	keep = 16 << 10
)

// Queue is an io.Writer that never blocks. Each Write is one line, or several
// that belong together. All methods are safe for concurrent use.
type Queue struct {
	// Dropped counts what was not written.
	Dropped metrics.Counter

	// set at construction
	out     io.Writer
	resumed func(dropped int)
	wake    chan struct{}
	done    chan struct{} // closed when run has ended

	mu      sync.Mutex // guards what follows; memory only
	waiting []byte
	missing int // Writes dropped since run last took what waits
	closing bool
	ended   bool
}

// Start returns a queue in front of out. After lines were dropped, and one was
// written again, resumed is told how many there were; it may write to the
// queue. It may be nil.
func Start(out io.Writer, resumed func(dropped int)) *Queue {
	q := &Queue{out: out, resumed: resumed, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go q.run()
	return q
}

// Write takes a copy of p, or drops it when there is no room. It never fails.
func (q *Queue) Write(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.signal()
	// After the first that is dropped all are, until there is room for many:
	// what is written has no holes but one.
	if q.ended || q.missing > 0 || len(q.waiting)+len(p) > limit {
		q.missing++
		q.Dropped.Add(1)
		return len(p), nil
	}
	q.waiting = append(q.waiting, p...)
	return len(p), nil
}

func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Close waits until what was taken is written, or ctx ends. In the latter case
// the goroutine is left to the write that it hangs in: nothing can end that.
// What is written to the queue afterwards is dropped.
func (q *Queue) Close(ctx context.Context) error {
	q.mu.Lock()
	q.closing = true
	q.signal()
	q.mu.Unlock()
	select {
	case <-q.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (q *Queue) run() {
	defer close(q.done)
	var lines []byte
	dropped := 0
	for {
		var missing int
		var more bool
		if lines, missing, more = q.take(lines); !more {
			return
		}
		dropped += missing
		if len(lines) == 0 {
			<-q.wake
			continue
		}
		n, err := q.out.Write(lines)
		if err != nil { // the reader has gone; another may come
			lost := bytes.Count(lines[n:], []byte("\n"))
			q.Dropped.Add(lost)
			dropped += lost
		} else if dropped > 0 {
			if q.resumed != nil {
				q.resumed(dropped)
			}
			dropped = 0
		}
	}
}

// take returns what waits and how much was dropped behind it; false when there
// is nothing and never will be. written is a buffer that may be used again.
func (q *Queue) take(written []byte) (lines []byte, missing int, more bool) {
	if cap(written) > keep {
		written = nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	lines, missing = q.waiting, q.missing
	q.waiting, q.missing = written[:0], 0
	q.ended = q.closing && len(lines) == 0
	return lines, missing, !q.ended
}

// Package stream is HTTP streaming: an answer that goes on for as long as the
// session lives. It works over HTTP/1.1 and HTTP/2, with and without TLS.
//
// It knows no event format. It starts no goroutine: the HTTP server's own
// waits in Wait, writes come from the session's flusher.
package stream

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// ErrClosed is returned by Write after Close.
var ErrClosed = errors.New("stream: closed")

// Conn is one open answer. All methods are safe for concurrent use, Write
// with itself excepted.
type Conn struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	done    chan struct{} // closed by Close

	closing sync.Once

	writing sync.Mutex // held while w is in use; guards what follows
	failed  bool       // a write broke off: nothing more may follow it

	last []byte // set before done is closed, read after it
}

// New begins the answer: status 200 with the headers that are set on w so
// far. timeout bounds how long a client may take nothing.
func New(w http.ResponseWriter, timeout time.Duration) (*Conn, error) {
	c := &Conn{w: w, control: http.NewResponseController(w), timeout: timeout, done: make(chan struct{})}
	// What comes next on this connection is up to this session, not to the
	// server's limits for short requests.
	if err := c.control.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	w.WriteHeader(http.StatusOK)
	if err := c.control.Flush(); err != nil {
		return nil, err
	}
	return c, nil
}

// TryWrite takes nothing: the HTTP library's writes may block, so all goes
// through the session's flusher.
func (c *Conn) TryWrite([]byte) (int, error) { return 0, nil }

// Write writes the frames and flushes once. It blocks while the client takes
// nothing, up to the timeout; any error is final.
func (c *Conn) Write(frames [][]byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.closed() {
		return ErrClosed
	}
	if err := c.control.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return err
	}
	if c.closed() { // Close's own, shorter deadline may just have been undone
		c.control.SetWriteDeadline(time.Now().Add(lastWrite))
	}
	for _, f := range frames {
		if _, err := c.w.Write(f); err != nil {
			c.failed = true
			return err
		}
	}
	err := c.control.Flush()
	c.failed = err != nil
	return err
}

func (c *Conn) closed() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// lastWrite is how long a write may go on after Close, so that a client that
// takes nothing does not hold the handler.
const lastWrite = time.Second

// Close ends the answer. It does not block and may be called more than once.
func (c *Conn) Close() { c.Finish(nil) }

// Finish is Close with a last word: Wait writes it behind a Write under way.
// Only the first call of Close and Finish counts.
func (c *Conn) Finish(last []byte) {
	c.closing.Do(func() {
		c.last = last // seen by whoever sees done closed
		close(c.done)
		c.control.SetWriteDeadline(time.Now().Add(lastWrite))
	})
}

// Wait returns when the answer may end: after Close, or when the client has
// gone (ctx is the request's). Nothing touches the ResponseWriter after it.
func (c *Conn) Wait(ctx context.Context) {
	select {
	case <-c.done:
	case <-ctx.Done():
	}
	c.Close()
	c.writing.Lock() // a Write under way ends first; a later one sees done
	defer c.writing.Unlock()
	if len(c.last) > 0 && !c.failed {
		_, _ = c.w.Write(c.last) // who has gone needs no last word
		_ = c.control.Flush()
	}
}

package stream

import (
	"context"
	"net/http"
	"sync"
	"time"

	"magpie/internal/fault"
)

// lastWrite is how long a write may go on after the end, so that a client that
// takes nothing does not hold the handler.
const lastWrite = time.Second

// kept is a stream whose connection net/http keeps: others go over the same
// one (HTTP/2), or its writes may block (TLS).
type kept struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	client  Client
	done    chan struct{} // closed by finish

	closing sync.Once

	writing sync.Mutex // held while w is in use; guards what follows
	failed  bool       // a write broke off: nothing more may follow it

	last []byte // set before done is closed, read after it
}

func (s *Server) keep(w http.ResponseWriter, client Client) (*Conn, error) {
	k := &kept{w: w, control: http.NewResponseController(w), timeout: s.cfg.WriteTimeout, client: client, done: make(chan struct{})}
	// What comes next on this connection is up to this session, not to the
	// server's limits for short requests.
	if err := k.control.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	w.WriteHeader(http.StatusOK)
	if err := k.control.Flush(); err != nil {
		return nil, err
	}
	return &Conn{kept: k}, nil
}

// write writes the frames and flushes once.
func (k *kept) write(frames [][]byte) error {
	k.writing.Lock()
	defer k.writing.Unlock()
	if k.closed() {
		return ErrClosed
	}
	if err := k.control.SetWriteDeadline(time.Now().Add(k.timeout)); err != nil {
		return err
	}
	if k.closed() { // finish's own, shorter deadline may just have been undone
		k.control.SetWriteDeadline(time.Now().Add(lastWrite))
	}
	for _, f := range frames {
		if _, err := k.w.Write(f); err != nil {
			k.failed = true
			return err
		}
	}
	err := k.control.Flush()
	k.failed = err != nil
	return err
}

func (k *kept) closed() bool {
	select {
	case <-k.done:
		return true
	default:
		return false
	}
}

func (k *kept) finish(last []byte) {
	k.closing.Do(func() {
		k.last = last // seen by whoever sees done closed
		close(k.done)
		k.control.SetWriteDeadline(time.Now().Add(lastWrite))
	})
}

// wait returns when the answer may end: after finish, or when the client has
// gone. Nothing touches the ResponseWriter after it.
func (k *kept) wait(ctx context.Context) {
	defer k.client.Gone(fault.ReasonClient)
	select {
	case <-k.done:
	case <-ctx.Done():
	}
	k.finish(nil)
	k.writing.Lock() // a write under way ends first; a later one sees done
	defer k.writing.Unlock()
	if len(k.last) > 0 && !k.failed {
		_, _ = k.w.Write(k.last) // who has gone needs no last word
		_ = k.control.Flush()
	}
}

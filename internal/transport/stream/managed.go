package stream

import (
	"context"
	"net/http"
	"sync"
	"time"

	"magpie/internal/fault"
	"magpie/internal/transport/socket"
)

// closeTimeout is how long a write may go on after the end, so that a client
// that takes nothing does not hold the handler.
const closeTimeout = time.Second

// managed is a stream whose connection net/http keeps: others go over the same
// one (HTTP/2), or its writes may block (TLS).
type managed struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	client  Client

	open   context.Context // ended by finish
	end    context.CancelFunc
	ending sync.Once

	writing sync.Mutex // held while w is in use; guards what follows
	failed  bool       // a write broke off: nothing more may follow it

	last []byte // set before open ends, read after it
}

func (s *Server) manage(w http.ResponseWriter, client Client) (*Conn, error) {
	m := &managed{w: w, control: http.NewResponseController(w), timeout: s.cfg.WriteTimeout, client: client}
	m.open, m.end = context.WithCancel(context.Background())
	// What comes next on this connection is up to this session, not to the
	// server's limits for short requests.
	if err := m.control.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	w.WriteHeader(http.StatusOK)
	if err := m.control.Flush(); err != nil {
		return nil, err
	}
	return &Conn{managed: m}, nil
}

// write writes the frames and flushes once.
func (m *managed) write(frames [][]byte) error {
	m.writing.Lock()
	defer m.writing.Unlock()
	if m.open.Err() != nil {
		return socket.ErrClosed
	}
	if err := m.control.SetWriteDeadline(time.Now().Add(m.timeout)); err != nil {
		return err
	}
	if m.open.Err() != nil { // finish's own, shorter deadline may just have been undone
		m.control.SetWriteDeadline(time.Now().Add(closeTimeout))
	}
	for _, f := range frames {
		if _, err := m.w.Write(f); err != nil {
			m.failed = true
			return err
		}
	}
	err := m.control.Flush()
	m.failed = err != nil
	return err
}

func (m *managed) finish(message []byte) {
	m.ending.Do(func() {
		m.last = message
		m.end()
		m.control.SetWriteDeadline(time.Now().Add(closeTimeout))
	})
}

// wait returns when the answer may end: after finish, or when the client has
// gone. Nothing touches the ResponseWriter after it.
func (m *managed) wait(ctx context.Context) {
	defer m.client.Gone(fault.ReasonClient)
	select {
	case <-m.open.Done():
	case <-ctx.Done():
	}
	m.finish(nil)
	m.writing.Lock() // a write under way ends first; a later one sees the end
	defer m.writing.Unlock()
	if len(m.last) > 0 && !m.failed {
		_, _ = m.w.Write(m.last) // a client that has gone needs no close message
		_ = m.control.Flush()
	}
}

package kit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// received is what a client has got so far, of which its goroutine writes and
// the test reads.
type received[T any] struct {
	t      testing.TB
	cancel context.CancelFunc
	ended  chan struct{} // closed when the client's goroutine ends

	mu   sync.Mutex
	list []T
}

func (r *received[T]) add(v T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, v)
}

// All is what came so far.
func (r *received[T]) All() []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

// Wait returns all that came, once there are n of them.
func (r *received[T]) Wait(n int) []T {
	r.t.Helper()
	for deadline := time.Now().Add(Patience); r.len() < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			all := r.All()
			r.t.Fatalf("%d of %d came within %s, the last: %.300v", len(all), n, Patience, all[max(0, len(all)-1):])
		}
	}
	return r.All()
}

func (r *received[T]) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.list)
}

// Open tells whether the server has not ended it.
func (r *received[T]) Open() bool {
	select {
	case <-r.ended:
		return false
	default:
		return true
	}
}

// WaitClosed waits until the server has ended it.
func (r *received[T]) WaitClosed() {
	r.t.Helper()
	waitClosed(r.t, "the server ends the session", r.ended)
}

// Close ends the client without a word to the server.
func (r *received[T]) Close() {
	r.cancel()
	waitClosed(r.t, "the client ends", r.ended)
}

// Socket is a WebSocket client that keeps the frames it gets.
type Socket struct {
	received[string]
	conn *websocket.Conn
	err  error // how reading ended; read after ended
}

// Dial opens the raw door with a query such as "channel=chat".
func (d Doors) Dial(query string) *Socket {
	d.t.Helper()
	s, res, err := d.TryDial("/websocket?" + query)
	if err != nil {
		d.t.Fatalf("dial ?%s: %v, %v", query, err, res)
	}
	return s
}

// Centrifuge opens the Centrifuge door, connects with a token and waits for the
// answer, the first frame.
func (d Doors) Centrifuge(token string) *Socket {
	d.t.Helper()
	s, res, err := d.TryDial("/connection/websocket")
	if err != nil {
		d.t.Fatalf("dial: %v, %v", err, res)
	}
	s.Send(`{"id":1,"connect":{"token":"` + token + `"}}`)
	s.Wait(1)
	return s
}

// TryDial opens a WebSocket; with an error the answer, if one came.
func (d Doors) TryDial(path string) (*Socket, *http.Response, error) {
	dialing, done := context.WithTimeout(context.Background(), Patience)
	defer done()
	conn, res, err := websocket.Dial(dialing, "ws://"+d.Addr+path, &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		return nil, res, err
	}
	conn.SetReadLimit(64 << 20)
	ctx, cancel := context.WithCancel(context.Background())
	s := &Socket{received: received[string]{t: d.t, cancel: cancel, ended: make(chan struct{})}, conn: conn}
	go s.read(ctx)
	d.t.Cleanup(s.Close)
	return s, res, nil
}

func (s *Socket) read(ctx context.Context) {
	defer close(s.ended)
	defer s.conn.CloseNow()
	for {
		_, b, err := s.conn.Read(ctx)
		if err != nil {
			s.err = err
			return
		}
		s.add(string(b))
	}
}

// Send sends a text frame. It is safe for any goroutine.
func (s *Socket) Send(text string) {
	s.t.Helper()
	if !s.TrySend(text) {
		s.t.Error("send: the server has closed the connection")
	}
}

// TrySend is Send where the server may have closed the connection, which it tells.
func (s *Socket) TrySend(text string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	return s.conn.Write(ctx, websocket.MessageText, []byte(text)) == nil
}

// WaitFor waits for a frame that holds all these words.
func (s *Socket) WaitFor(words ...string) {
	s.t.Helper()
	Eventually(s.t, fmt.Sprintf("a frame with %.80q", words), func() bool {
		return slices.ContainsFunc(s.All(), func(frame string) bool {
			return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(frame, w) })
		})
	})
}

// CloseCode waits for the server's close message and returns it; code -1 when
// the connection ended without one.
func (s *Socket) CloseCode() (int, string) {
	s.t.Helper()
	s.WaitClosed()
	if ce, ok := errors.AsType[websocket.CloseError](s.err); ok {
		return int(ce.Code), ce.Reason
	}
	return -1, s.err.Error()
}

// Envelope is a frame of the raw door with format=envelope.
type Envelope struct {
	Offset uint64
	Epoch  string
	Data   json.RawMessage
	Via    string
	Gap    *struct {
		Reason string
		Now    struct {
			Epoch  string
			Offset uint64
		}
	}
}

// Position is what since= takes.
func (e Envelope) Position() string { return fmt.Sprintf("%s.%d", e.Epoch, e.Offset) }

// Envelopes is Wait with the frames decoded.
func (s *Socket) Envelopes(n int) []Envelope {
	s.t.Helper()
	frames := s.Wait(n)
	list := make([]Envelope, len(frames))
	for i, f := range frames {
		if err := json.Unmarshal([]byte(f), &list[i]); err != nil {
			s.t.Fatalf("frame %q: %v", f, err)
		}
	}
	return list
}

// Event is one event of an event stream.
type Event struct{ Name, ID, Data string }

// Stream reads the SSE door as a browser's EventSource does.
type Stream struct {
	received[Event]
	id string // guarded by mu: the last event id, which also comes without an event
}

// Events opens the SSE door; lastID, if given, is where the client was.
func (d Doors) Events(query, lastID string) *Stream {
	d.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, "GET", d.URL("/sse?"+query), nil)
	if err != nil {
		d.t.Fatal(err)
	}
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	res, err := transport.RoundTrip(req)
	if err != nil || res.StatusCode != http.StatusOK {
		cancel()
		d.t.Fatalf("GET /sse?%s: %v, %v", query, err, res)
	}
	s := &Stream{received: received[Event]{t: d.t, cancel: cancel, ended: make(chan struct{})}, id: lastID}
	go s.read(res)
	d.t.Cleanup(s.Close)
	return s
}

func (s *Stream) read(res *http.Response) {
	defer close(s.ended)
	defer res.Body.Close()
	var e Event
	var lines []string
	scanner := bufio.NewScanner(res.Body)
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		switch field, value, _ := strings.Cut(scanner.Text(), ": "); field {
		case "id":
			e.ID = value
		case "event":
			e.Name = value
		case "data":
			lines = append(lines, value)
		case "":
			s.end(e, lines)
			e, lines = Event{ID: e.ID}, nil
		}
	}
}

// end is the empty line after an event; one without data sets the id only.
func (s *Stream) end(e Event, lines []string) {
	s.mu.Lock()
	s.id = e.ID
	s.mu.Unlock()
	if lines != nil {
		e.Data = strings.Join(lines, "\n")
		s.add(e)
	}
}

// LastID is what the client would come back with.
func (s *Stream) LastID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

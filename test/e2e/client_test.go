package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

// envelope is a frame of the raw door with format=envelope.
type envelope struct {
	Channel string          `json:"channel"`
	Offset  uint64          `json:"offset"`
	Epoch   string          `json:"epoch"`
	Data    json.RawMessage `json:"data"`
	Via     string          `json:"via"`
	Gap     *struct {
		Reason string
		Now    struct {
			Epoch  string
			Offset uint64
		}
	} `json:"gap"`
	Error *struct{ Code, Message string } `json:"error"`
}

func (e envelope) position() string { return fmt.Sprintf("%s.%d", e.Epoch, e.Offset) }

// socket is a raw WebSocket client that keeps all it gets.
type socket struct {
	t      testing.TB
	conn   *websocket.Conn
	cancel context.CancelFunc
	ended  chan struct{}

	mu     sync.Mutex
	frames []string
	err    error // how reading ended
}

// dial opens /websocket with a query such as "channel=chat".
func (n *node) dial(query string) *socket {
	n.t.Helper()
	s, res, err := n.tryDial(query)
	if err != nil {
		status, body := 0, ""
		if res != nil {
			status, body = read(res)
		}
		n.t.Fatalf("dial ?%s: %v (%d %s)", query, err, status, body)
	}
	return s
}

func (n *node) tryDial(query string) (*socket, *http.Response, error) {
	ctx, cancel := context.WithCancel(context.Background())
	conn, res, err := websocket.Dial(ctx, "ws://"+n.Addr+"/websocket?"+query, nil)
	if err != nil {
		cancel()
		return nil, res, err
	}
	conn.SetReadLimit(16 << 20)
	s := &socket{t: n.t, conn: conn, cancel: cancel, ended: make(chan struct{})}
	go s.readLoop(ctx)
	n.t.Cleanup(s.close)
	return s, res, nil
}

func (s *socket) readLoop(ctx context.Context) {
	defer close(s.ended)
	for {
		_, b, err := s.conn.Read(ctx)
		s.mu.Lock()
		if err != nil {
			s.err = err
			s.mu.Unlock()
			return
		}
		s.frames = append(s.frames, string(b))
		s.mu.Unlock()
	}
}

func (s *socket) close() {
	s.cancel()
	<-s.ended
	s.conn.CloseNow()
}

func (s *socket) send(text string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		s.t.Errorf("send: %v", err)
	}
}

func (s *socket) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.frames...)
}

// wait returns the frames once there are n of them.
func (s *socket) wait(n int) []string {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("%d frames do not come; so far %d, the last: %.300v", n, len(s.all()), last(s.all())), func() bool { return len(s.all()) >= n })
	return s.all()
}

func last(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[len(list)-1]
}

// envelopes decodes the frames.
func (s *socket) envelopes(n int) []envelope {
	s.t.Helper()
	var list []envelope
	for _, f := range s.wait(n) {
		var e envelope
		if err := json.Unmarshal([]byte(f), &e); err != nil {
			s.t.Fatalf("frame %q: %v", f, err)
		}
		list = append(list, e)
	}
	return list
}

// closeCode waits for the end and returns its code.
func (s *socket) closeCode() (websocket.StatusCode, string) {
	s.t.Helper()
	<-s.ended
	var ce websocket.CloseError
	if !asCloseError(s.err, &ce) {
		return -1, s.err.Error()
	}
	return ce.Code, ce.Reason
}

func asCloseError(err error, ce *websocket.CloseError) bool {
	code := websocket.CloseStatus(err)
	if code == -1 {
		return false
	}
	ce.Code = code
	if i := strings.Index(err.Error(), "reason = "); i >= 0 {
		ce.Reason = err.Error()[i:]
	}
	return true
}

// event is one event of an EventSource.
type event struct{ name, id, data string }

// source reads an event stream as a browser does.
type source struct {
	t      testing.TB
	cancel context.CancelFunc
	ended  chan struct{}

	mu     sync.Mutex
	events []event
	id     string // the last event id, which also comes without an event
}

func (n *node) source(query, lastID string) *source {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, "GET", n.url("/sse?"+query), nil)
	if err != nil {
		n.t.Fatal(err)
	}
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		_, body := read(res)
		n.t.Fatalf("GET /sse?%s: %d %s", query, res.StatusCode, body)
	}
	s := &source{t: n.t, cancel: cancel, ended: make(chan struct{}), id: lastID}
	go s.readLoop(res)
	n.t.Cleanup(s.close)
	return s
}

func (s *source) readLoop(res *http.Response) {
	defer close(s.ended)
	defer res.Body.Close()
	var e event
	var lines []string
	scanner := bufio.NewScanner(res.Body)
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		line := scanner.Text()
		switch field, value, _ := strings.Cut(line, ": "); field {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			lines = append(lines, value)
		case "":
			s.end(e, lines)
			e, lines = event{id: e.id}, nil
		}
	}
}

func (s *source) end(e event, lines []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id = e.id
	if lines != nil {
		e.data = strings.Join(lines, "\n")
		s.events = append(s.events, e)
	}
}

func (s *source) close() {
	s.cancel()
	<-s.ended
}

func (s *source) all() []event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]event(nil), s.events...)
}

func (s *source) lastID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

func (s *source) wait(n int) []event {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("%d events do not come", n), func() bool { return len(s.all()) >= n })
	return s.all()
}

// log reads a channel's whole log over HTTP.
func (n *node) logOf(channel string) []envelope {
	n.t.Helper()
	var list []envelope
	since := ""
	for {
		status, body := n.get("/history/" + url.PathEscape(channel) + "?limit=1000&since=" + since)
		if status != http.StatusOK {
			n.t.Fatalf("history: %d %s", status, body)
		}
		var page struct{ Messages []envelope }
		if err := json.Unmarshal([]byte(body), &page); err != nil {
			n.t.Fatal(err)
		}
		list = append(list, page.Messages...)
		if len(page.Messages) < 1000 {
			return list
		}
		since = list[len(list)-1].position()
	}
}

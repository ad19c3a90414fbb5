package sse

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/message"
	"magpie/internal/node"
	"magpie/internal/problem"
	"magpie/internal/transport/stream"
	"magpie/test/kit/stack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// endpoint is a door on a real server over the memory engine.
type endpoint struct {
	*stack.Stack
	t       testing.TB
	addr    string
	streams *stream.Server
	client  *http.Client
	door    *Door
	h2      bool
}

// everyWay runs a conversation on a connection that is taken over, and on one
// that net/http keeps.
func everyWay(t *testing.T, f func(t *testing.T, e *endpoint)) {
	t.Run("HTTP/1.1", func(t *testing.T) { f(t, listen(t, false)) })
	t.Run("HTTP/2", func(t *testing.T) { f(t, listen(t, true)) })
}

func listen(t testing.TB, h2 bool) *endpoint {
	t.Helper()
	return listenWith(t, h2, 10)
}

func listenWith(t testing.TB, h2 bool, subscriptions int) *endpoint {
	t.Helper()
	anyone := channel.Rule{Subscribe: channel.Anyone, Publish: channel.Anyone, History: channel.Anyone, Members: channel.Anyone}
	logged, bare := anyone, anyone
	logged.Match, logged.Log, logged.Presence = "*", channel.Log{Size: 1000, Age: time.Hour}, true
	bare.Match = "bare:*"
	users := logged
	users.Match, users.Subscribe = "users", channel.Users
	e := &endpoint{t: t, h2: h2}
	e.Stack = stack.New(t, stack.Options{Rules: []channel.Rule{bare, users, logged}, LeaveAfter: time.Millisecond, Limits: node.Limits{Payload: 64 << 10, Outbox: 1 << 20, Subscriptions: subscriptions}})
	var err error
	if e.streams, err = stream.New(stream.Config{}); err != nil {
		t.Fatal(err)
	}
	e.door = New(Config{Node: e.Node, Gate: e.Gate, Access: e.Access, Streams: e.streams, Wheel: e.Wheel(), Heartbeat: time.Hour})
	server := httptest.NewUnstartedServer(problem.Handle(slog.New(slog.DiscardHandler), e.door.serve))
	if server.EnableHTTP2 = h2; h2 {
		server.StartTLS()
	} else {
		server.Start()
	}
	e.addr, e.client = server.Listener.Addr().String(), server.Client()
	e.OnClose(func(ctx context.Context) error {
		err := e.streams.Close(ctx)
		e.client.CloseIdleConnections()
		server.Close()
		return err
	})
	return e
}

func (e *endpoint) url(query string) string {
	if e.h2 {
		return "https://" + e.addr + "/sse?" + query
	}
	return "http://" + e.addr + "/sse?" + query
}

func (e *endpoint) publish(name, payload string) {
	e.t.Helper()
	e.Publish(engine.Publication{Channel: name, Payload: []byte(payload)})
}

// reader is a client.
type reader struct {
	t    testing.TB
	body io.ReadCloser
	in   *bufio.Reader
}

func (e *endpoint) open(query, last string) *reader {
	e.t.Helper()
	req, err := http.NewRequest("GET", e.url(query), nil)
	if err != nil {
		e.t.Fatal(err)
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := e.client.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { res.Body.Close() })
	h := res.Header
	if res.StatusCode != 200 || h.Get("Content-Type") != "text/event-stream" || h.Get("Cache-Control") != "no-store, no-transform" ||
		h.Get("X-Accel-Buffering") != "no" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Vary") != "Origin" {
		e.t.Fatalf("%s %v", res.Status, h)
	}
	return &reader{e.t, res.Body, bufio.NewReader(res.Body)}
}

// event returns the next block of lines that is not a comment.
func (r *reader) event() (string, error) {
	var lines []string
	for {
		line, err := r.in.ReadString('\n')
		if err != nil {
			return "", err
		}
		switch line = strings.TrimSuffix(line, "\n"); {
		case line == "" && len(lines) > 0:
			return strings.Join(lines, "\n"), nil
		case line != "" && line[0] != ':':
			lines = append(lines, line)
		}
	}
}

// expect wants an event with this data, and returns its id.
func (r *reader) expect(data string) (id string) {
	r.t.Helper()
	text, err := r.event()
	if err != nil {
		r.t.Fatal(err)
	}
	line, rest, _ := strings.Cut(text, "\n")
	id, ok := strings.CutPrefix(line, "id: ")
	if !ok || rest != "data: "+data {
		r.t.Fatalf("got %q, want data %q", text, data)
	}
	return id
}

// head is what every stream begins with.
func (r *reader) head() (id string) {
	r.t.Helper()
	text, err := r.event()
	if err != nil {
		r.t.Fatal(err)
	}
	wait, line, _ := strings.Cut(text, "\n")
	if id, _ = strings.CutPrefix(line, "id: "); !strings.HasPrefix(wait, "retry: ") || id == "" {
		r.t.Fatalf("a stream begins with %q", text)
	}
	return id
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// sessions are those that are open.
func (e *endpoint) sessions() int64 { return e.Node.Metrics.Sessions.Value() }

func sampleBatch(offset uint64) *message.Batch {
	return &message.Batch{Messages: []*message.Message{{
		Channel: "chat", Position: message.Position{Epoch: "e1", Offset: offset}, Payload: []byte(strings.Repeat("hello ", 20)),
	}}}
}

// dial opens a stream by hand, and drops what comes.
func (e *endpoint) dial(request string) net.Conn {
	e.t.Helper()
	nc, err := net.Dial("tcp", e.addr)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { nc.Close() })
	if _, err := io.WriteString(nc, request); err != nil {
		e.t.Fatal(err)
	}
	return nc
}

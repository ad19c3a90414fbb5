package centrifuge_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"

	"magpie/internal/auth"
	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/message"
	"magpie/internal/node"
	"magpie/internal/problem"
	"magpie/internal/protocol/centrifuge"
	"magpie/internal/transport/stream"
	"magpie/internal/transport/ws"
	"magpie/test/kit/stack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience   = 30 * time.Second
	maxPayload = 4 << 10
	secret     = "a secret of at least thirty-two bytes"
)

// limits of the node under test.
var limits = node.Limits{Payload: maxPayload, Outbox: 1 << 20, Subscriptions: 40}

// endpoint is a door on a real server over the memory engine.
type endpoint struct {
	*stack.Stack
	t    testing.TB
	url  string
	http *http.Client
	door *centrifuge.Door
}

// rules of most tests: one log of five messages, one channel without a log.
var rules = []channel.Rule{
	{Match: "short:*", Log: channel.Log{Size: 5, Age: time.Hour}, Presence: true, JoinLeave: channel.JoinLeaveOn, Delta: true, Recover: true,
		Subscribe: channel.Anyone, Publish: channel.Anyone, History: channel.Anyone, Members: channel.Anyone},
	{Match: "forced:*", Presence: true, JoinLeave: channel.JoinLeaveForce,
		Subscribe: channel.Anyone, Publish: channel.Anyone, History: channel.Anyone, Members: channel.Anyone},
	{Match: "bare:*", Subscribe: channel.Anyone, Publish: channel.Anyone, History: channel.Anyone, Members: channel.Anyone},
	{Match: "plain:*", Log: channel.Log{Size: 5, Age: time.Hour},
		Subscribe: channel.Anyone, Publish: channel.Anyone, History: channel.Anyone, Members: channel.Anyone},
	{Match: "users:*", Log: channel.Log{Size: 5, Age: time.Hour}, Presence: true,
		Subscribe: channel.Users, Publish: channel.Users, History: channel.Users, Members: channel.Users},
	{Match: "server:*", Log: channel.Log{Size: 5, Age: time.Hour}, Presence: true,
		Subscribe: channel.Server, Publish: channel.Server, History: channel.Server, Members: channel.Server},
}

func listen(t testing.TB, adjust ...func(*centrifuge.Config)) *endpoint {
	t.Helper()
	return listenOver(t, nil, adjust...)
}

// listenOver puts an engine of the test's between the sessions and the memory.
func listenOver(t testing.TB, over func(engine.Engine) engine.Engine, adjust ...func(*centrifuge.Config)) *endpoint {
	t.Helper()
	e := &endpoint{t: t}
	e.Stack = stack.New(t, stack.Options{
		Rules: rules, Over: over, LeaveAfter: time.Millisecond, Coalesce: 5 * time.Millisecond,
		Auth:   auth.Config{Secrets: []string{secret}, Personal: "own:"},
		Limits: limits,
	})
	clock := e.Wheel()
	sockets, err := ws.New(ws.Config{MaxMessage: centrifuge.Limit(limits), Wheel: clock})
	if err != nil {
		t.Fatal(err)
	}
	streams, err := stream.New(stream.Config{})
	if err != nil {
		t.Fatal(err)
	}
	config := centrifuge.Config{Node: e.Node, Gate: e.Gate, Access: e.Access, Sockets: sockets, Streams: streams, Wheel: clock, Version: "test", Personal: true}
	for _, f := range adjust {
		f(&config)
	}
	e.door = centrifuge.New(config)
	server := e.serve(routes(e.door))
	e.OnClose(func(ctx context.Context) error {
		err := errors.Join(sockets.Close(ctx), streams.Close(ctx), e.door.Close(ctx))
		e.http.CloseIdleConnections()
		http.DefaultClient.CloseIdleConnections()
		server.Close()
		return err
	})
	return e
}

// serve starts the server: on a port, or in memory where the test is in a
// bubble of synctest.
func (e *endpoint) serve(h http.Handler) *httptest.Server {
	server := httptest.NewUnstartedServer(h)
	e.http = http.DefaultClient
	if inBubble(e.t) {
		server.Listener.Close()
		p := newPipes()
		server.Listener, e.http = p, p.client()
	}
	server.Start()
	e.url = server.URL
	return server
}

// with is the endpoint for a test under another.
func (e *endpoint) with(t testing.TB) *endpoint {
	own := *e
	own.t = t
	return &own
}

func routes(d *centrifuge.Door) http.Handler {
	mux := http.NewServeMux()
	for _, route := range d.Routes() {
		mux.Handle(route.Path, problem.Handle(slog.New(slog.DiscardHandler), route.Serve))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(keptHeader) != "" {
			w = kept{w}
		}
		mux.ServeHTTP(w, r)
	})
}

// keptHeader asks the tests' server to keep the connection.
const keptHeader = "X-Kept"

// kept is a ResponseWriter that does not give its connection away.
type kept struct{ http.ResponseWriter }

func (k kept) control() *http.ResponseController { return http.NewResponseController(k.ResponseWriter) }

func (k kept) FlushError() error                   { return k.control().Flush() }
func (k kept) SetReadDeadline(at time.Time) error  { return k.control().SetReadDeadline(at) }
func (k kept) SetWriteDeadline(at time.Time) error { return k.control().SetWriteDeadline(at) }

// publish publishes as a server does.
func (e *endpoint) publish(name, payload string) message.Position {
	e.t.Helper()
	return e.Publish(engine.Publication{Channel: name, Payload: []byte(payload)}).Position
}

// token signs claims as a backend does.
func token(claims map[string]any) string {
	if _, ok := claims["exp"]; !ok {
		claims["exp"] = time.Now().Add(time.Hour).Unix()
	}
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	signed := part(map[string]any{"alg": "HS256", "typ": "JWT"}) + "." + part(claims)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// eventually polls until ok, or fails.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func (e *endpoint) publishTagged(name, payload, tag string) message.Position {
	e.t.Helper()
	return e.Publish(engine.Publication{Channel: name, Payload: []byte(payload), Tags: map[string]string{"k": tag}}).Position
}

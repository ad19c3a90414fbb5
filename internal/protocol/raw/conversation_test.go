package raw

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/fault"
	"magpie/internal/message"
	"magpie/internal/node"
	"magpie/internal/problem"
	"magpie/internal/session"
	"magpie/internal/transport/ws"
	"magpie/test/kit/stack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	deadline   = 10 * time.Second
	maxPayload = 1 << 10
)

// endpoint is the door on a real server over the memory engine. Channels short*
// keep two messages, shut* let nobody publish, users* only users subscribe.
type endpoint struct {
	*stack.Stack
	t    testing.TB
	url  string
	door *Door
}

func listen(t testing.TB) *endpoint {
	t.Helper()
	rule := func(match string, change func(*channel.Rule)) channel.Rule {
		r := channel.Default(channel.Anyone)
		r.Match = match
		change(&r)
		return r
	}
	e := &endpoint{t: t, Stack: stack.New(t, stack.Options{
		Rules: []channel.Rule{
			rule("short*", func(r *channel.Rule) { r.Log.Size = 2 }),
			rule("shut*", func(r *channel.Rule) { r.Publish = channel.Nobody }),
			rule("users*", func(r *channel.Rule) { r.Subscribe = channel.Users }),
		},
		Limits: node.Limits{Payload: maxPayload, Outbox: 1 << 20, Subscriptions: 1},
	})}
	sockets, err := ws.New(ws.Config{MaxMessage: 2 * maxPayload, Wheel: e.Wheel()})
	if err != nil {
		t.Fatal(err)
	}
	d := New(Config{Node: e.Node, Gate: e.Gate, Access: e.Access, Sockets: sockets})
	server := httptest.NewServer(problem.Handle(slog.New(slog.DiscardHandler), d.Routes()[0].Serve))
	e.url, e.door = server.URL, d
	e.OnClose(func(ctx context.Context) error {
		err := sockets.Close(ctx)
		http.DefaultClient.CloseIdleConnections()
		server.Close()
		return err
	})
	return e
}

// client is a WebSocket that is not ours.
type client struct {
	t    testing.TB
	ctx  context.Context
	conn *websocket.Conn
}

func (e *endpoint) dial(query string) *client {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	conn, _, err := websocket.Dial(ctx, e.url+"/websocket?"+query, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() {
		conn.CloseNow()
		cancel()
	})
	return &client{e.t, ctx, conn}
}

func (c *client) send(kind websocket.MessageType, text string) {
	c.t.Helper()
	if err := c.conn.Write(c.ctx, kind, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

var epoch = regexp.MustCompile(`"epoch":"[0-9a-f]{8}"|"time":\d+`)

// expect reads one frame: its type and, with E for any epoch, its text.
func (c *client) expect(kind websocket.MessageType, text string) {
	c.t.Helper()
	k, b, err := c.conn.Read(c.ctx)
	if got := epoch.ReplaceAllString(string(b), "E"); err != nil || k != kind || got != text {
		c.t.Fatalf("%v %s %v, want %v %s", k, got, err, kind, text)
	}
}

// expectClose reads until the end and wants this code, and the words in its
// reason.
func (c *client) expectClose(code int, words string) {
	c.t.Helper()
	for {
		_, _, err := c.conn.Read(c.ctx)
		if err == nil {
			continue
		}
		var e websocket.CloseError
		if !errors.As(err, &e) || int(e.Code) != code || !strings.Contains(e.Reason, words) {
			c.t.Fatalf("%v, want %d with %q", err, code, words)
		}
		return
	}
}

func (e *endpoint) publish(name, payload string) message.Position {
	e.t.Helper()
	return e.Publish(engine.Publication{Channel: name, Payload: []byte(payload)}).Position
}

const text, binary = websocket.MessageText, websocket.MessageBinary

// The contract of the first page: what goes in comes out as it is, at the
// sender, too, and without a channel's name it is chat.
func TestWhatGoesInComesOut(t *testing.T) {
	e := listen(t)
	ada, bob := e.dial(""), e.dial("channel=chat")
	ada.send(text, "hello")
	ada.expect(text, "hello")
	bob.expect(text, "hello")
	ada.send(binary, "bytes that read as text")
	ada.expect(binary, "bytes that read as text")
	bob.expect(binary, "bytes that read as text")
	e.publish("chat", "\xff\xfe")
	bob.expect(binary, "\xff\xfe") // a text frame with these bytes would end the connection (RFC 6455 8.1)
	e.publish("chat", "")
	bob.expect(text, "")
}

// D2: a position brings back what followed it, in order, before what is live.
func TestSinceBringsBackWhatWasMissed(t *testing.T) {
	e := listen(t)
	at := e.publish("chat", "1")
	e.publish("chat", "2")
	c := e.dial("since=" + at.String())
	e.publish("chat", "3")
	c.expect(text, "2")
	c.expect(text, "3")
	c.send(binary, "4")
	c.expect(binary, "4")
	c = e.dial("since=" + at.String()) // and out of the log
	for _, want := range []string{"2", "3"} {
		c.expect(text, want)
	}
	c.expect(binary, "4")
}

// D2: what is lost for good is told: by a frame where there are envelopes, else
// by a close code.
func TestAGapIsTold(t *testing.T) {
	e := listen(t)
	at := e.publish("short", "1")
	for i := range 4 {
		e.publish("short", fmt.Sprint(i))
	}
	e.dial("channel=short&since="+at.String()).expectClose(4003, "lost for good")
	c := e.dial("channel=short&format=envelope&since=" + at.String())
	_, b, err := c.conn.Read(c.ctx)
	if err != nil || !strings.HasPrefix(string(b), `{"gap":{`) {
		t.Fatalf("%s, %v", b, err)
	}
}

func TestEnvelopes(t *testing.T) {
	e := listen(t)
	c := e.dial("format=envelope")
	e.publish("chat", `{"a":1}`)
	_, b, err := c.conn.Read(c.ctx)
	if err != nil || !strings.Contains(string(b), `"offset":1`) || !strings.Contains(string(b), `{"a":1}`) {
		t.Fatalf("%s, %v", b, err)
	}
	shut := e.dial("format=envelope&channel=shut")
	shut.send(text, "x")
	_, b, err = shut.conn.Read(shut.ctx)
	if err != nil || !strings.Contains(string(b), `"code":"forbidden"`) {
		t.Fatalf("a refused frame: %s, %v", b, err)
	}
}

// Without envelopes a refused frame can only be told by the end.
func TestARefusedFrameEndsTheSession(t *testing.T) {
	e := listen(t)
	c := e.dial("channel=shut")
	c.send(text, "x")
	c.expectClose(4504, "may not publish")
	c = e.dial("")
	c.send(text, strings.Repeat("x", maxPayload+1))
	c.expectClose(1009, "too big")
	c = e.dial("")
	c.send(text, `{"id":1,"connect":{}}`)
	c.expectClose(4503, "/connection/websocket")
}

// What can be refused is refused before the upgrade, with a status.
func TestRefusedHandshakes(t *testing.T) {
	e := listen(t)
	for query, want := range map[string]struct {
		status int
		code   string
	}{
		"channel=a%20b": {400, "bad_channel"}, "channel=": {400, "bad_channel"}, "chanel=a": {400, "bad_parameter"},
		"format=xml": {400, "bad_format"}, "since=x": {400, "bad_position"}, "channel=users": {401, "token_needed"}, "token=a.b.c": {401, "bad_token"},
	} {
		_, resp, err := websocket.Dial(t.Context(), e.url+"/websocket?"+query, nil)
		if err == nil || resp == nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		var body [512]byte
		n, _ := resp.Body.Read(body[:])
		if resp.StatusCode != want.status || !strings.Contains(string(body[:n]), want.code) {
			t.Errorf("%s: %d %s", query, resp.StatusCode, body[:n])
		}
	}
	if n := e.Node.Metrics.Sessions.Value(); n != 0 {
		t.Errorf("%d sessions of refused handshakes", n)
	}
}

// Each reason has its close code, and what a server says comes through.
func TestCloseMessages(t *testing.T) {
	e := listen(t)
	for reason, want := range closeMessages {
		if reason == fault.ReasonClient {
			continue // it has gone
		}
		c := e.dial("")
		e.one().Close(reason)
		c.expectClose(int(want.code), want.text)
	}
	for _, order := range []struct {
		code uint32
		want int
	}{{4100, 4100}, {4999, 4999}, {3000, codeRestart}, {3499, codeRestart}, {3500, codeKicked}, {0, codeKicked}} {
		c := e.dial("")
		e.one().Link().(session.Controllable).ServerDisconnect(order.code, "words")
		c.expectClose(order.want, "words")
	}
	c := e.dial("")
	link := e.one().Link().(session.Controllable)
	link.ServerUnsubscribe("another", 2000, "words")
	link.ServerUnsubscribe("chat", 2000, "words")
	c.expectClose(codeKicked, "words")
	c = e.dial("")
	e.one().Link().(session.Controllable).ServerRefresh(time.Time{}, true)
	c.expectClose(4501, "expired")
}

// one waits until there is one session and returns it.
func (e *endpoint) one() (s *session.Session) {
	e.t.Helper()
	for end := time.Now().Add(deadline); ; time.Sleep(time.Millisecond) {
		n := 0
		e.Node.Each(func(each *session.Session) bool { s, n = each, n+1; return true })
		if n == 1 {
			return s
		}
		if time.Now().After(end) {
			e.t.Fatalf("%d sessions", n)
		}
	}
}

func TestWhyAPublicationFailed(t *testing.T) {
	for kind, want := range map[fault.Kind]fault.Reason{
		fault.TokenNeeded: fault.ReasonForbidden, fault.Forbidden: fault.ReasonForbidden, fault.TooBig: fault.ReasonTooBig,
		fault.Unavailable: fault.ReasonUnavailable, fault.Shutdown: fault.ReasonUnavailable, fault.Internal: fault.ReasonError,
	} {
		if got := publishFailed(kind); got != want {
			t.Errorf("%s: %s", kind, got)
		}
	}
}

package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"magpie/internal/api"
	"magpie/internal/auth"
	"magpie/internal/channel"
	"magpie/internal/door"
	"magpie/internal/engine"
	"magpie/internal/fault"
	"magpie/internal/message"
	"magpie/internal/node"
	"magpie/internal/problem"
	"magpie/internal/session"
	"magpie/test/kit/stack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The two keys of the server under test: one is on its way out.
const (
	oldKey = "old-key-0123456789"
	newKey = "new-key-0123456789"
)

// fixture is one server with the memory engine. Channels short* keep five
// messages, none* no log and no presence, shut* nobody may publish to or join.
type fixture struct {
	*stack.Stack
	t      testing.TB
	server *api.Server
	mux    *http.ServeMux
}

const maxPayload = 1 << 10

func setup(t testing.TB, open bool, keys ...string) *fixture {
	t.Helper()
	rule := func(match string, change func(*channel.Rule)) channel.Rule {
		r := channel.Default(channel.Users)
		r.Match = match
		change(&r)
		return r
	}
	f := &fixture{t: t}
	f.Stack = stack.New(t, stack.Options{
		Rules: []channel.Rule{
			rule("short*", func(r *channel.Rule) { r.Log.Size = 5 }),
			rule("none*", func(r *channel.Rule) { r.Log.Size, r.Presence, r.Recover = 0, false, false }),
			rule("shut*", func(r *channel.Rule) { r.Publish, r.Subscribe = channel.Nobody, channel.Nobody }),
		},
		Default: channel.Users, Auth: auth.Config{Keys: keys}, Name: "here",
		Limits: node.Limits{Payload: maxPayload, Outbox: 1 << 20, Subscriptions: 100},
	})
	access := door.Access{Auth: f.Access.Auth}
	f.server = api.NewServer(api.ServerConfig{Gate: f.Gate, Peers: f.Peers, Access: access, Log: slog.New(slog.DiscardHandler), Open: open})
	f.mux = http.NewServeMux()
	for _, d := range []interface{ Routes() []door.Route }{f.server, api.New(api.Config{Gate: f.Gate, Access: f.Access}), &api.Health{Engine: f.Engine}} {
		for _, route := range d.Routes() {
			f.mux.Handle(route.Path, problem.Handle(slog.New(slog.DiscardHandler), route.Serve))
		}
	}
	return f
}

// request is one call with a key; change makes it another one.
func (f *fixture) request(method, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "http://localhost/api/"+method, strings.NewReader(body))
	r.Header.Set("X-API-Key", newKey)
	r.Header.Set("Content-Type", "application/json")
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	f.mux.ServeHTTP(w, r)
	return w
}

// call makes a call that is answered, holds answer (and, unless it failed,
// the call) to the OpenAPI document and returns the answer's JSON.
func (f *fixture) call(method, body string) string {
	f.t.Helper()
	w := f.request(method, body)
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
		f.t.Fatalf("%s %s: %d %s", method, body, w.Code, w.Body)
	}
	answer := strings.TrimSuffix(w.Body.String(), "\n")
	operation := document.operation(f.t, "/api/"+method, "post")
	if err := document.check(operation.response("200"), answer); err != nil {
		f.t.Errorf("the answer to %s %s is not what the document says: %v\n%s", method, body, err, answer)
	}
	if !strings.Contains(answer, `"error"`) {
		if err := document.check(operation.body(), body); err != nil {
			f.t.Errorf("%s took what the document does not allow: %v\n%s", method, err, body)
		}
	}
	return answer
}

// want makes a call and wants this answer; E stands for any epoch.
func (f *fixture) want(method, body, answer string) {
	f.t.Helper()
	got := f.call(method, body)
	if i := strings.Index(got, `"epoch":"`); i >= 0 {
		got = got[:i+9] + "E" + got[i+17:]
	}
	if got != answer {
		f.t.Errorf("%s %s\ngot  %s\nwant %s", method, body, got, answer)
	}
}

// fails makes a call and wants this code, and the words somewhere in the
// message.
func (f *fixture) fails(method, body string, code api.Code, words string) {
	f.t.Helper()
	got := f.call(method, body)
	var a struct{ Error *api.Error }
	if err := json.Unmarshal([]byte(got), &a); err != nil || a.Error == nil || a.Error.Code != code || !strings.Contains(a.Error.Message, words) {
		f.t.Errorf("%s %.200s\ngot  %.300s\nwant %d with %q", method, body, got, code, words)
	}
}

// client is a session in channels whose door writes down what it is told.
type client struct {
	session.Session
	mu   sync.Mutex
	told []string
}

func (f *fixture) open(user string, channels ...string) *client {
	f.t.Helper()
	c := &client{}
	who := auth.Identity{Kind: auth.Server, User: user, Info: []byte(`{"name":"Ann"}`)}
	if err := f.Node.Open(&c.Session, c, who, nil); err != nil {
		f.t.Fatal(err)
	}
	for _, name := range channels {
		joined, err := f.Gate.Subscribe(context.Background(), &c.Session, name, c, nil)
		if err != nil {
			f.t.Fatal(err)
		}
		joined.Subscription.Live()
	}
	return c
}

func (c *client) tell(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, fmt.Sprintf(format, args...))
}

func (c *client) all() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.told, "\n")
}

func (c *client) TryWrite(b []byte) (int, error) { return len(b), nil }
func (c *client) Write([][]byte) error           { return nil }
func (c *client) CloseLink(fault.Reason)         {}
func (c *client) Gap(message.Gap)                {}

// Deliver implements hub.Subscriber.
func (c *client) Deliver(b *message.Batch) {
	for _, m := range b.Messages {
		c.tell("%s %d %s", m.Channel, m.Offset, m.Payload)
	}
}

func (c *client) ServerSubscribe(name string, o session.ServerSubscription) {
	b, _ := json.Marshal(o)
	c.tell("subscribe %s %s info %s data %s", name, b, o.Info, o.Data)
}
func (c *client) ServerUnsubscribe(name string, code uint32, reason string) {
	c.tell("unsubscribe %s %d %s", name, code, reason)
}
func (c *client) ServerDisconnect(code uint32, reason string) {
	c.tell("disconnect %d %s", code, reason)
}
func (c *client) ServerRefresh(at time.Time, expired bool) {
	c.tell("refresh %d %v", at.Unix(), expired)
}

// A2, A4: every key that is set is good, also while one takes another's
// place; nothing else is, and the refusals are all alike.
func TestOnlyAKeyOpensTheAPI(t *testing.T) {
	f := setup(t, false, oldKey, newKey)
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Del("X-API-Key")
			r.Header.Set(name, value)
		}
	}
	for _, good := range []func(*http.Request){
		header("X-API-Key", oldKey), header("X-API-Key", newKey),
		header("Authorization", "apikey "+newKey), header("Authorization", "ApiKey "+oldKey),
	} {
		if w := f.request("info", "{}", good); w.Code != http.StatusOK {
			t.Errorf("a good key: %d %s", w.Code, w.Body)
		}
	}
	bad := []func(*http.Request){
		header("X-Nothing", ""), header("X-API-Key", newKey[1:]), header("X-API-Key", newKey+" "), header("X-API-Key", "A"+newKey[1:]),
		header("Authorization", "Bearer "+newKey), header("Authorization", newKey), header("Authorization", "apikey "), header("X-API-Key", strings.Repeat("k", 1<<20)),
	}
	var first string
	for i, change := range bad {
		w := f.request("disconnect", `{"user":"42"}`, change)
		if first == "" {
			first = w.Body.String()
		}
		if w.Code != http.StatusUnauthorized || w.Body.String() != first || strings.Contains(first, newKey) {
			t.Errorf("bad key %d: %d %s", i, w.Code, w.Body)
		}
	}
	if got := f.server.BadKeys.Value(); got != uint64(len(bad)) {
		t.Errorf("%d bad keys counted", got)
	}
}

// A server without a key is closed, not open.
func TestWithoutAnyKeyTheAPIIsClosed(t *testing.T) {
	f := setup(t, false)
	for _, key := range []string{"", newKey} {
		if w := f.request("info", "{}", func(r *http.Request) { r.Header.Set("X-API-Key", key) }); w.Code != http.StatusUnauthorized {
			t.Errorf("key %q: %d %s", key, w.Code, w.Body)
		}
	}
}

// A3: what is in a URL is in logs.
func TestAKeyInTheURLIsRefused(t *testing.T) {
	f := setup(t, false, newKey)
	for _, query := range []string{"api_key=" + newKey, "apikey=" + newKey} {
		w := f.request("info", "{}", func(r *http.Request) {
			r.Header.Del("X-API-Key")
			r.URL.RawQuery = query
		})
		if w.Code != http.StatusBadRequest || strings.Contains(w.Body.String(), newKey) {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
}

// S7, A5: in open mode a page of another site can make a browser on this
// machine send what needs no preflight. None of that gets through.
func TestOpenModeIsOpenToThisMachineAlone(t *testing.T) {
	f := setup(t, true)
	set := func(pairs ...string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Del("X-API-Key")
			for i := 0; i < len(pairs); i += 2 {
				r.Header.Set(pairs[i], pairs[i+1])
			}
		}
	}
	body := `{"channel":"chat","data":1}`
	for _, good := range []func(*http.Request){
		set(), set("Content-Type", "application/json; charset=utf-8"), set("Origin", "http://localhost:3000"),
		set("Origin", "http://localhost", "Sec-Fetch-Site", "same-origin"),
	} {
		if w := f.request("publish", body, good); w.Code != http.StatusOK {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	for _, c := range []struct {
		change func(*http.Request)
		status int
	}{
		{set("Content-Type", "text/plain"), http.StatusUnsupportedMediaType},
		{set("Content-Type", "application/x-www-form-urlencoded"), http.StatusUnsupportedMediaType},
		{set("Content-Type", "multipart/form-data; boundary=x"), http.StatusUnsupportedMediaType},
		{set("Content-Type", ""), http.StatusUnsupportedMediaType},
		{set("Content-Type", "text/plain; application/json"), http.StatusUnsupportedMediaType},
		{set("Content-Encoding", "gzip"), http.StatusUnsupportedMediaType},
		{set("Origin", "https://evil.example"), http.StatusForbidden},
		{set("Origin", "null"), http.StatusForbidden},
		{set("Sec-Fetch-Site", "cross-site"), http.StatusForbidden},
		{set("X-API-Key", "wrong"), http.StatusUnauthorized},
	} {
		if w := f.request("publish", body, c.change); w.Code != c.status {
			t.Errorf("%d %s, want %d", w.Code, w.Body, c.status)
		}
	}
	if page, _ := f.Memory.History(t.Context(), "chat", engine.Query{}); page.Top.Offset != 4 {
		t.Errorf("%d messages were published, want the 4 good ones", page.Top.Offset)
	}
}

// A browser of another site asks before it sends JSON: it gets no yes.
func TestNoPreflightIsAllowed(t *testing.T) {
	f := setup(t, true)
	w := f.request("publish", "", func(r *http.Request) {
		r.Method = "OPTIONS"
		r.Header.Set("Origin", "https://evil.example")
		r.Header.Set("Access-Control-Request-Method", "POST")
	})
	if w.Code < 400 || w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestAnUnknownMethodIsNotFound(t *testing.T) {
	f := setup(t, false, newKey)
	for _, name := range []string{"nope", "", "publish/x", "rpc", "PUBLISH"} {
		if w := f.request(name, "{}"); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), `"method_not_found"`) {
			t.Errorf("%q: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestABodyHasABound(t *testing.T) {
	f := setup(t, false, newKey)
	w := f.request("publish", `{"channel":"chat","data":"`+strings.Repeat("x", 16<<20)+`"}`)
	if w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %.200s", w.Code, w.Body)
	}
}

// Libraries that ask for it get an HTTP status beside the code.
func TestErrorsAsStatuses(t *testing.T) {
	f := setup(t, false, newKey)
	transport := func(r *http.Request) { r.Header.Set("X-Centrifugo-Error-Mode", "transport") }
	for body, status := range map[string]int{
		`{"channel":"chat","data":1}`: 200, `{}`: 400, `{"channel":"shut","data":1}`: 403,
	} {
		if w := f.request("publish", body, transport); w.Code != status {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}

// C: an engine that cannot answer is a temporary error, with words that say
// so, and never a success.
func TestWithoutAnEngineCallsFailForNow(t *testing.T) {
	f := setup(t, false, newKey)
	f.Memory.Close(t.Context())
	for method, body := range map[string]string{
		"publish": `{"channel":"chat","data":1}`, "history": `{"channel":"chat"}`, "history_remove": `{"channel":"chat"}`,
		"presence": `{"channel":"chat"}`, "presence_stats": `{"channel":"chat"}`, "channels": `{}`, "info": `{}`,
		"subscribe": `{"user":"42","channel":"chat"}`, "unsubscribe": `{"user":"42","channel":"chat"}`,
		"disconnect": `{"user":"42"}`, "refresh": `{"user":"42"}`,
	} {
		f.fails(method, body, api.CodeInternal, "shutting down")
	}
	got := f.call("broadcast", `{"channels":["a","b"],"data":1}`)
	if strings.Count(got, `"code":100`) != 2 {
		t.Errorf("broadcast: %s", got)
	}
}

// Whatever a body holds, the answer is one that the document knows.
func FuzzCall(f *testing.F) {
	for i, name := range api.Methods() {
		f.Add(i, `{}`)
		f.Add(i, `{"channel":"chat","data":{"a":1},"user":"42","since":{"offset":1},"limit":3,"commands":[{"`+name+`":{}}]}`)
	}
	f.Add(0, `[`)
	f.Add(0, "{\"channels\":[\"a\",\"\xff\"],\"b64data\":\"AA==\"}")
	x := setup(f, false, newKey)
	f.Fuzz(func(t *testing.T, i int, body string) {
		x.t = t
		methods := api.Methods()
		method := methods[max(i, -i-1)%len(methods)]
		w := x.request(method, body)
		if w.Code != http.StatusOK {
			t.Fatalf("%s %q: %d %s", method, body, w.Code, w.Body)
		}
		if err := document.check(document.operation(t, "/api/"+method, "post").response("200"), w.Body.String()); err != nil {
			t.Errorf("%s %q: %v\n%s", method, body, err, w.Body)
		}
		if bytes.Contains(w.Body.Bytes(), []byte(`"code":100`)) {
			t.Errorf("%s %q: %s", method, body, w.Body)
		}
	})
}

// Whatever lines hold, each gets one answer that the document knows.
func FuzzLines(f *testing.F) {
	f.Add(`{"method":"publish","params":{"channel":"chat","data":1}}` + "\n" + `{"method":"info"}`)
	f.Add(`{"method":"history","params":[]}{`)
	f.Add(`null`)
	x := setup(f, false, newKey)
	schema := document.operation(f, "/api", "post").response("200")
	f.Fuzz(func(t *testing.T, body string) {
		x.t = t
		w := x.request("", body, func(r *http.Request) { r.URL.Path = "/api" })
		if w.Code != http.StatusOK || w.Body.Len() == 0 {
			t.Fatalf("%q: %d %s", body, w.Code, w.Body)
		}
		for line := range strings.Lines(w.Body.String()) {
			if err := document.check(schema, line); err != nil {
				t.Errorf("%q: %v\n%s", body, err, line)
			}
		}
	})
}

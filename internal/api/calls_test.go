package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"magpie/internal/api"
	"magpie/internal/engine"
	"magpie/internal/message"
)

// Every method's ways to go wrong, with the code that libraries look at and
// words that say what is wrong.
func TestBadCalls(t *testing.T) {
	f := setup(t, false, newKey)
	long := strings.Repeat("x", 256)
	const bad, limit, forbidden, unavailable = api.CodeBadRequest, api.CodeLimit, api.CodeForbidden, api.CodeNotAvailable
	for _, c := range []struct {
		method, body string
		code         api.Code
		words        string
	}{
		{"publish", ``, bad, "channel is missing"},
		{"publish", `null`, bad, "channel is missing"},
		{"publish", `{`, bad, "not JSON"},
		{"publish", `{} {}`, bad, "not JSON"},
		{"publish", `[]`, bad, "must be a JSON object"},
		{"publish", `"x"`, bad, "must be a JSON object"},
		{"publish", "{\"channel\":\"chat\",\"data\":\"\xff\"}", bad, "not UTF-8"},
		{"publish", strings.Repeat("[", 20000), bad, "not JSON"},
		{"publish", `{"channel":"chat","data":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, bad, "not JSON"},
		{"publish", `{"channel":"chat"}`, bad, "data or b64data is missing"},
		{"publish", `{"channel":"chat","data":1,"b64data":"AA=="}`, bad, "two ways"},
		{"publish", `{"channel":"chat","b64data":"*"}`, bad, "base64"},
		{"publish", `{"channel":1,"data":1}`, bad, "channel must be a string"},
		{"publish", `{"channel":"chat","data":1,"skip_history":"yes"}`, bad, "skip_history must be true or false"},
		{"publish", `{"channel":"chat","data":1,"tags":{"a":1}}`, bad, "tags"},
		{"publish", `{"channel":"chat","data":1,"tags":["a"]}`, bad, "tags must be an object"},
		{"publish", `{"channel":"chat","data":1,"tags":{"a":"` + strings.Repeat("x", 5000) + `"}}`, bad, "tags have at most"},
		{"publish", `{"channel":"chat","data":1,"idempotency_key":"` + long + `"}`, bad, "idempotency_key"},
		{"publish", `{"channel":"chat","data":1,"version":3}`, unavailable, "version"},
		{"publish", `{"channel":"chat","data":1,"version":-3}`, bad, "version must be a whole number, not negative"},
		{"publish", `{"channel":"no space","data":1}`, bad, "channel name not allowed"},
		{"publish", `{"channel":"` + long + `","data":1}`, bad, "channel name not allowed"},
		{"publish", `{"channel":"a{b}","data":1}`, bad, "channel name not allowed"},
		{"publish", `{"channel":"chat","data":"` + strings.Repeat("x", maxPayload) + `"}`, bad, "payload too big"},
		{"publish", `{"channel":"shut","data":1}`, forbidden, "not allowed"},
		{"broadcast", `{"data":1}`, bad, "channels is missing"},
		{"broadcast", `{"channels":[],"data":1}`, bad, "channels is missing"},
		{"broadcast", `{"channels":"chat","data":1}`, bad, "channels must be a list"},
		{"broadcast", `{"channels":["chat"]}`, bad, "data or b64data is missing"},
		{"broadcast", `{"channels":["a"` + strings.Repeat(`,"a"`, 20000) + `],"data":1}`, limit, "20000 channels"},
		{"subscribe", `{"channel":"chat"}`, bad, "user is missing"},
		{"subscribe", `{"user":"","channel":"chat"}`, bad, "user is missing"},
		{"subscribe", `{"user":"42"}`, bad, "channel is missing"},
		{"subscribe", `{"user":"42","channel":"no space"}`, bad, "channel name"},
		{"subscribe", `{"user":"42","channel":"shut"}`, forbidden, "not allowed"},
		{"subscribe", `{"user":"42","channel":"chat","expire_at":1}`, bad, "past"},
		{"subscribe", `{"user":"42","channel":"chat","expire_at":-1}`, bad, "expire_at"},
		{"subscribe", `{"user":"42","channel":"chat","b64info":"e30"}`, bad, "base64"},
		{"subscribe", `{"user":"42","channel":"chat","b64info":"AAAA"}`, bad, "not JSON"},
		{"subscribe", `{"user":"42","channel":"chat","data":1,"b64data":"e30="}`, bad, "two ways"},
		{"subscribe", `{"user":"42","channel":"chat","override":{"presence":{"value":false}}}`, unavailable, "presence"},
		{"subscribe", `{"user":"42","channel":"chat","override":{"presence":false}}`, bad, "override.presence must be an object"},
		{"subscribe", `{"user":"42","channel":"chat","recover_since":{"offset":-1}}`, bad, "recover_since.offset must be a whole number"},
		{"unsubscribe", `{"channel":"chat"}`, bad, "user is missing"},
		{"unsubscribe", `{"user":"42"}`, bad, "channel is missing"},
		{"unsubscribe", `{"user":"42","channel":"no space"}`, bad, "channel name"},
		{"disconnect", `{}`, bad, "user is missing"},
		{"disconnect", `{"whitelist":["a"]}`, bad, "user is missing"},
		{"disconnect", `{"user":42}`, bad, "bad request: user must be a string"},
		{"disconnect", `{"user":"42","disconnect":{"code":1000}}`, bad, "disconnect.code"},
		{"disconnect", `{"user":"42","disconnect":{"code":5000}}`, bad, "disconnect.code"},
		{"disconnect", `{"user":"42","disconnect":{"code":4000,"reason":"` + long + `"}}`, bad, "disconnect.reason"},
		{"disconnect", `{"user":"42","whitelist":"a"}`, bad, "whitelist must be a list"},
		{"disconnect", `{"user":"42","block_ttl":-1}`, bad, "block_ttl"},
		{"disconnect", `{"user":"42","block_ttl":31622401}`, bad, "block_ttl"},
		{"disconnect", `{"user":"42","block_ttl":"long"}`, bad, "block_ttl must be a whole number"},
		{"disconnect", `{"user":"42","block_ttl":1,"whitelist":["a"]}`, bad, "leave whitelist out"},
		{"disconnect", `{"client":"42","block_ttl":1}`, bad, "no session of this name"},
		{"revoke", `{}`, bad, "one of user, client, session and jti"},
		{"revoke", `{"user":"42","jti":"a"}`, bad, "one of user, client, session and jti"},
		{"revoke", `{"user":"` + long + `"}`, bad, "255 bytes"},
		{"revoke", `{"jti":"a\nb"}`, bad, "control characters"},
		{"revoke", `{"jti":7}`, bad, "jti must be a string"},
		{"revoke", `{"user":"42","expire_at":1}`, bad, "past"},
		{"revoke", `{"user":"42","expire_at":-1}`, bad, "past"},
		{"revoke", `{"user":"42","expire_at":9007199254740991}`, bad, "366 days"},
		{"revoke", `{"client":"42"}`, bad, "no session of this name"},
		{"revoke", `{"session":"42"}`, bad, "no session of this name"},
		{"refresh", `{"expired":true}`, bad, "user is missing"},
		{"refresh", `{"user":"42","expire_at":"soon"}`, bad, "expire_at must be a whole number"},
		{"refresh", `{"user":"42","expire_at":-5}`, bad, "expire_at"},
		{"refresh", `{"user":"42","info":{"a":1}}`, unavailable, "info"},
		{"presence", `{}`, bad, "channel is missing"},
		{"presence", `{"channel":"no space"}`, bad, "channel name"},
		{"presence", `{"channel":"none"}`, unavailable, "rule: presence"},
		{"presence_stats", `{"channel":"none"}`, unavailable, "rule: presence"},
		{"presence_stats", `{}`, bad, "channel is missing"},
		{"history", `{}`, bad, "channel is missing"},
		{"history", `{"channel":"no space"}`, bad, "channel name"},
		{"history", `{"channel":"none"}`, unavailable, "log.size"},
		{"history", `{"channel":"chat","limit":1001}`, limit, "1000"},
		{"history", `{"channel":"chat","limit":1.5}`, bad, "limit must be a whole number"},
		{"history", `{"channel":"chat","since":"a.1"}`, bad, "since must be an object"},
		{"history", `{"channel":"chat","since":{"epoch":"a b","offset":1}}`, bad, "broken position"},
		{"history", `{"channel":"chat","limit":1,"since":{"epoch":"other","offset":1}}`, api.CodeUnrecoverable, "timeline"},
		{"history_remove", `{}`, bad, "channel is missing"},
		{"history_remove", `{"channel":"no space"}`, bad, "channel name"},
		{"channels", `{"pattern":"a[b]"}`, bad, "match pattern"},
		{"channels", `{"pattern":"` + long + `"}`, bad, "match pattern"},
		{"info", `[]`, bad, "must be a JSON object"},
		{"batch", `{}`, bad, "commands is missing"},
		{"batch", `{"commands":{}}`, bad, "commands must be a list"},
		{"batch", `{"commands":[1]}`, bad, "commands must be an object"},
		{"batch", `{"commands":[{}` + strings.Repeat(`,{}`, 10000) + `]}`, limit, "10000 commands"},
	} {
		f.fails(c.method, c.body, c.code, c.words)
	}
}

// The payload is the JSON text as it was sent, or the bytes of b64data.
func TestPublish(t *testing.T) {
	f := setup(t, false, newKey)
	c := f.open("42", "chat", "none")
	f.want("publish", `{"channel":"chat","data":{"b" : "<ü>"}}`, `{"result":{"offset":1,"epoch":"E"}}`)
	f.want("publish", `{"channel":"chat","b64data":"AP8="}`, `{"result":{"offset":2,"epoch":"E"}}`)
	f.want("publish", `{"channel":"chat","data":null,"delta":true}`, `{"result":{"offset":3,"epoch":"E"}}`)
	f.want("publish", `{"channel":"chat","data":null,"b64data":"eA==","version":0,"unknown":[]}`, `{"result":{"offset":4,"epoch":"E"}}`)
	f.want("publish", `{"channel":"chat","data":"typing","skip_history":true}`, `{"result":{}}`)
	f.want("publish", `{"channel":"none","data":7}`, `{"result":{}}`)
	for _, repeat := range []int{1, 2} { // D4
		_ = repeat
		f.want("publish", `{"channel":"chat","data":1,"tags":{"a":"b"},"idempotency_key":"k"}`, `{"result":{"offset":5,"epoch":"E"}}`)
	}
	f.fails("publish", `{"channel":"chat","data":2,"idempotency_key":"k"}`, api.CodeBadRequest, "idempotency key")
	eventually(t, func() bool { return strings.Count(c.all(), "\n") == 6 })
	for _, want := range []string{`chat 1 {"b" : "<ü>"}`, "chat 2 \x00\xff", `chat 3 null`, `chat 4 x`, `chat 0 "typing"`, `none 0 7`, `chat 5 1`} {
		if !strings.Contains(c.all(), want) {
			t.Errorf("%q did not come: %q", want, c.all())
		}
	}
	page, err := f.Memory.History(t.Context(), "chat", engine.Query{Limit: engine.All})
	if err != nil || len(page.Messages) != 5 || page.Messages[4].Tags["a"] != "b" || page.Messages[4].Via != message.ViaHTTP {
		t.Errorf("the log: %+v, %v", page.Messages, err)
	}
}

// One call, ten thousand channels, each with its own answer.
func TestBroadcastToTenThousandChannels(t *testing.T) {
	f := setup(t, false, newKey)
	const count = 10_000
	names := make([]string, count)
	for i := range names {
		names[i] = fmt.Sprintf("user:%d", i)
	}
	names[17], names[18], names[19] = "no space", "shut", "none"
	list, _ := json.Marshal(names)
	got := f.call("broadcast", `{"data":{"a":1},"idempotency_key":"k","channels":`+string(list)+`}`)
	var a struct {
		Result struct {
			Responses []struct {
				Result *struct{ Offset uint64 }
				Error  *api.Error
			}
		}
	}
	if err := json.Unmarshal([]byte(got), &a); err != nil || len(a.Result.Responses) != count {
		t.Fatalf("%d responses, %v", len(a.Result.Responses), err)
	}
	for i, r := range a.Result.Responses {
		switch i {
		case 17:
			if r.Error == nil || r.Error.Code != api.CodeBadRequest {
				t.Errorf("a bad name: %+v", r)
			}
		case 18:
			if r.Error == nil || r.Error.Code != api.CodeForbidden {
				t.Errorf("a closed channel: %+v", r)
			}
		case 19:
			if r.Result == nil || r.Result.Offset != 0 {
				t.Errorf("a channel without a log: %+v", r)
			}
		default:
			if r.Result == nil || r.Result.Offset != 1 {
				t.Fatalf("%s: %+v", names[i], r)
			}
		}
	}
	if page, err := f.Memory.History(t.Context(), "user:9999", engine.Query{Limit: engine.All}); err != nil || string(page.Messages[0].Payload) != `{"a":1}` {
		t.Errorf("the last channel's log: %v, %v", page, err)
	}
}

// What a server asks reaches the sessions that it names, with the protocol's
// defaults.
func TestSteering(t *testing.T) {
	f := setup(t, false, newKey)
	c, guest := f.open("42"), f.open("")
	soon := time.Now().Add(time.Hour).Unix()
	for _, x := range []struct{ method, body, told string }{
		{"unsubscribe", `{"user":"42","channel":"chat"}`, "unsubscribe chat 2000 server unsubscribe"},
		{"disconnect", `{"user":"42"}`, "disconnect 3503 force disconnect"},
		{"disconnect", `{"user":"42","disconnect":{"code":4321,"reason":"go"}}`, "disconnect 4321 go"},
		{"disconnect", `{"client":"` + c.ID() + `","user":"42","whitelist":["other"]}`, "disconnect 3503 force disconnect"},
		{"disconnect", `{"user":"42","whitelist":["` + c.ID() + `"]}`, ""},
		{"disconnect", `{"user":"43"}`, ""},
		{"refresh", fmt.Sprintf(`{"user":"42","expire_at":%d}`, soon), fmt.Sprintf("refresh %d false", soon)},
		{"refresh", `{"session":"` + c.ID() + `","expired":true,"info":null}`, "refresh -62135596800 true"},
		{"subscribe", `{"user":"42","channel":"chat"}`,
			`subscribe chat {"Info":null,"Data":null,"Expires":"0001-01-01T00:00:00Z","Recoverable":true,"Positioned":true,"JoinLeave":false,"Since":null} info  data `},
		// A channel without a log has nothing to recover, whatever is asked.
		{"subscribe", `{"user":"42","channel":"none","override":{"force_recovery":{"value":true},"force_positioning":{"value":true}}}`,
			`subscribe none {"Info":null,"Data":null,"Expires":"0001-01-01T00:00:00Z","Recoverable":false,"Positioned":false,"JoinLeave":false,"Since":null} info  data `},
		{"subscribe", `{"user":"42","channel":"chat","info":{"a":1},"b64data":"WzFd","recover_since":{"offset":3,"epoch":"x"},
			"override":{"join_leave":{"value":true},"force_recovery":{"value":false},"force_positioning":{"value":false},"presence":{"value":true}}}`,
			`subscribe chat {"Info":"eyJhIjoxfQ==","Data":"WzFd","Expires":"0001-01-01T00:00:00Z","Recoverable":false,"Positioned":false,"JoinLeave":true,"Since":{"epoch":"x","offset":3}} info {"a":1} data [1]`},
	} {
		c.told = nil
		f.want(x.method, x.body, `{"result":{}}`)
		if got := c.all(); got != x.told {
			t.Errorf("%s %s\ntold %s\nwant %s", x.method, x.body, got, x.told)
		}
	}
	if guest.all() != "" {
		t.Errorf("a guest was told %s", guest.all())
	}
	f.want("disconnect", `{"client":"`+guest.ID()+`"}`, `{"result":{}}`)
	if guest.all() == "" {
		t.Error("a guest cannot be named by client")
	}
}

func TestHistory(t *testing.T) {
	f := setup(t, false, newKey)
	f.want("history", `{"channel":"short"}`, `{"result":{"publications":[],"epoch":"E","offset":0}}`)
	by := &message.Publisher{User: "42", Session: "s1", ConnInfo: []byte(`{"n":1}`), ChanInfo: []byte(`broken`)}
	for i, payload := range []string{`{"a":"<"}`, "text", "\xff", "4", "5", "6"} {
		if _, err := f.Memory.Publish(t.Context(), engine.Publication{Channel: "short", Payload: []byte(payload), By: by, Tags: map[string]string{"i": fmt.Sprint(i)}}); err != nil {
			t.Fatal(err)
		}
		by = nil
	}
	top, _ := f.Memory.History(t.Context(), "short", engine.Query{})
	epoch := top.Top.Epoch
	for body, want := range map[string]string{
		`{"channel":"short"}`:                                                                       `{"result":{"publications":[],"epoch":"E","offset":6}}`,
		`{"channel":"short","limit":1}`:                                                             `{"result":{"publications":[{"data":"text","offset":2,"tags":{"i":"1"}}],"epoch":"E","offset":6}}`,
		`{"channel":"short","limit":1,"reverse":true}`:                                              `{"result":{"publications":[{"data":6,"offset":6,"tags":{"i":"5"}}],"epoch":"E","offset":6}}`,
		`{"channel":"short","limit":2,"since":{"offset":3,"epoch":"` + epoch + `"}}`:                `{"result":{"publications":[{"data":4,"offset":4,"tags":{"i":"3"}},{"data":5,"offset":5,"tags":{"i":"4"}}],"epoch":"E","offset":6}}`,
		`{"channel":"short","limit":1,"since":{"offset":2}}`:                                        `{"result":{"publications":[{"data":{"b64":"/w=="},"offset":3,"tags":{"i":"2"}}],"epoch":"E","offset":6}}`,
		`{"channel":"short","limit":1,"since":{"offset":0}}`:                                        `{"result":{"publications":[{"data":"text","offset":2,"tags":{"i":"1"}}],"epoch":"E","offset":6}}`, // trimmed: the offset tells
		`{"channel":"short","limit":-1,"since":{"offset":6,"epoch":"` + epoch + `"}}`:               `{"result":{"publications":[],"epoch":"E","offset":6}}`,
		`{"channel":"short","limit":1,"reverse":true,"since":{"offset":6,"epoch":"` + epoch + `"}}`: `{"result":{"publications":[{"data":5,"offset":5,"tags":{"i":"4"}}],"epoch":"E","offset":6}}`,
	} {
		f.want("history", body, want)
	}
	if got := f.call("history", `{"channel":"short","limit":-1}`); strings.Count(got, `"data"`) != 5 {
		t.Errorf("no limit: %s", got)
	}
	by = &message.Publisher{User: "42", Session: "s1", ConnInfo: []byte(`{"n":1}`), ChanInfo: []byte(`broken`)}
	if _, err := f.Memory.Publish(t.Context(), engine.Publication{Channel: "by", Payload: []byte("1"), By: by}); err != nil {
		t.Fatal(err)
	}
	f.want("history", `{"channel":"by","limit":1}`, `{"result":{"publications":[{"data":1,"info":{"client":"s1","user":"42","conn_info":{"n":1}},"offset":1}],"epoch":"E","offset":1}}`)
	f.want("history_remove", `{"channel":"short"}`, `{"result":{}}`)
	f.want("history", `{"channel":"short","limit":10}`, `{"result":{"publications":[],"epoch":"E","offset":0}}`)
	f.fails("history", `{"channel":"short","limit":1,"since":{"offset":3,"epoch":"`+epoch+`"}}`, api.CodeUnrecoverable, "begin without it")
}

func TestPresence(t *testing.T) {
	f := setup(t, false, newKey)
	f.want("presence", `{"channel":"chat"}`, `{"result":{"presence":{}}}`)
	a := f.open("42", "chat")
	f.want("presence", `{"channel":"chat"}`, `{"result":{"presence":{"`+a.ID()+`":{"client":"`+a.ID()+`","user":"42","conn_info":{"name":"Ann"}}}}}`)
	f.open("42", "chat")
	f.open("43", "chat", "other")
	f.want("presence_stats", `{"channel":"chat"}`, `{"result":{"num_clients":3,"num_users":2}}`)
	f.want("presence_stats", `{"channel":"nobody"}`, `{"result":{"num_clients":0,"num_users":0}}`)
	f.want("channels", ``, `{"result":{"channels":{"chat":{"num_clients":3},"other":{"num_clients":1}}}}`)
	f.want("channels", `{"pattern":"o*"}`, `{"result":{"channels":{"other":{"num_clients":1}}}}`)
	got := f.call("info", ``)
	for _, want := range []string{`"uid":"local"`, `"name":"here"`, `"num_clients":3`, `"num_users":2`, `"num_channels":2`, `"num_subs":4`} {
		if !strings.Contains(got, want) {
			t.Errorf("info has no %s: %s", want, got)
		}
	}
}

// Replies come in the order of the commands, each for itself, also when some
// run at once.
func TestBatch(t *testing.T) {
	f := setup(t, false, newKey)
	f.want("batch", `{"commands":[
		{"publish":{"channel":"chat","data":1}},
		{"publish":{"channel":"chat"}},
		{},
		{"publish":{},"info":{}},
		{"batch":{"commands":[]}},
		{"rpc":{}},
		{"broadcast":{"channels":["none","no space"],"data":1}},
		{"disconnect":{"user":"42"}},
		{"presence_stats":{"channel":"chat"}},
		{"publish":null}
	]}`, strings.Join([]string{`{"replies":[{"publish":{"offset":1,"epoch":"E"}}`,
		`{"error":{"code":107,"message":"bad request: data or b64data is missing"}}`,
		`{"error":{"code":107,"message":"bad request: a command is an object with one method's name, as in {\"publish\":{…}}"}}`,
		`{"error":{"code":107,"message":"bad request: a command is an object with one method's name, as in {\"publish\":{…}}"}}`,
		`{"error":{"code":104,"message":"method not found: a batch holds any method but batch"}}`,
		`{"error":{"code":104,"message":"method not found: a batch holds any method but batch"}}`,
		`{"broadcast":{"responses":[{"result":{}},{"error":{"code":107,"message":"bad request: channel name not allowed: it holds the character U+0020; use letters, digits and -_:.,;=#$@/+~!"}}]}}`,
		`{"disconnect":{}}`,
		`{"presence_stats":{"num_clients":0,"num_users":0}}`,
		`{"error":{"code":107,"message":"bad request: channel is missing"}}]}`}, ","))
	for _, parallel := range []bool{false, true} {
		name := fmt.Sprintf("batch:%v", parallel)
		var commands []string
		for i := range 500 {
			commands = append(commands, fmt.Sprintf(`{"publish":{"channel":"%s:%d","data":%d}}`, name, i%7, i), `{"foo":{}}`)
		}
		got := f.call("batch", fmt.Sprintf(`{"parallel":%v,"commands":[%s]}`, parallel, strings.Join(commands, ",")))
		var a struct{ Replies []map[string]json.RawMessage }
		if err := json.Unmarshal([]byte(got), &a); err != nil || len(a.Replies) != 1000 {
			t.Fatalf("%d replies, %v", len(a.Replies), err)
		}
		for i, r := range a.Replies {
			if _, ok := r["error"]; ok != (i%2 == 1) {
				t.Fatalf("reply %d: %s", i, r)
			}
		}
		for i := range 7 {
			f.inOrder(fmt.Sprintf("%s:%d", name, i), !parallel)
		}
	}
}

// The older form: objects one after the other, answers line by line. A broken
// line ends the call.
func TestLines(t *testing.T) {
	f := setup(t, false, newKey)
	command := `{"method":"publish","params":{"channel":"none","data":1}}`
	for body, want := range map[string]string{
		command: `{"result":{}}`,
		command + "\n" + `{"method":"presence_stats","params":{"channel":"chat"}}` + "\n": `{"result":{}}|{"result":{"num_clients":0,"num_users":0}}`,
		`{"method":"channels"}{"method":"publish","params":{}}` + command:                 `{"result":{"channels":{}}}|{"error":{"code":107,"message":"bad request: channel is missing"}}|{"result":{}}`,
		`{"method":"batch","params":{}}`:                                                  `{"error":{"code":104,"message":"method not found: POST /api takes any method but batch"}}`,
		`{}`:                                                                              `{"error":{"code":104,"message":"method not found: POST /api takes any method but batch"}}`,
		command + `{"method":1}` + command:                                                `{"result":{}}|{"error":{"code":107,"message":"bad request: method must be a string"}}`,
		command + `[` + command:                                                           `{"result":{}}|{"error":{"code":107,"message":"bad request: the body is not JSON"}}`,
		" \n":                                                                             `{"error":{"code":107,"message":"bad request: the body is empty"}}`,
		strings.Repeat(`{}`, 10001):                                                       `{"error":{"code":106,"message":"limit exceeded: 10000 commands are the most for one call"}}`,
	} {
		w := f.request("", body, func(r *http.Request) { r.URL.Path = "/api" })
		lines := strings.Split(strings.TrimSuffix(w.Body.String(), "\n"), "\n")
		if got := strings.Join(lines, "|"); w.Code != http.StatusOK || got != want {
			t.Errorf("%.100s\ngot  %d %.300s\nwant %s", body, w.Code, got, want)
		}
		for _, line := range lines {
			if err := document.check(document.operation(t, "/api", "post").response("200"), line); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
	w := f.request("", command, func(r *http.Request) {
		r.URL.Path = "/api"
		r.Header.Set("X-API-Key", "wrong")
	})
	if w.Code != http.StatusUnauthorized {
		t.Errorf("without a key: %d", w.Code)
	}
}

// inOrder checks that a channel's log has numbers that rise.
func (f *fixture) inOrder(name string, want bool) {
	f.t.Helper()
	page, err := f.Memory.History(f.t.Context(), name, engine.Query{Limit: engine.All})
	if err != nil || len(page.Messages) < 71 {
		f.t.Fatalf("%s: %d messages, %v", name, len(page.Messages), err)
	}
	last := -1
	for _, m := range page.Messages {
		var n int
		if _, err := fmt.Sscan(string(m.Payload), &n); err != nil {
			f.t.Fatal(err)
		}
		if want && n <= last {
			f.t.Errorf("%s: %d after %d", name, n, last)
		}
		last = n
	}
}

// The counters tell good calls from bad ones.
func TestCallsAreCounted(t *testing.T) {
	f := setup(t, false, newKey)
	f.call("publish", `{"channel":"chat","data":1}`)
	f.call("publish", `{}`)
	f.call("batch", `{"commands":[{"publish":{}},{"info":{}}]}`)
	for name, want := range map[string][2]uint64{"publish": {1, 2}, "info": {1, 0}, "batch": {1, 0}, "history": {0, 0}} {
		c := f.server.Calls()[name]
		if got := [2]uint64{c.Good.Value(), c.Failed.Value()}; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("it does not come about")
		}
		<-tick.C
	}
}

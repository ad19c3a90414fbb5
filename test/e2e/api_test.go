package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"magpie/test/kit"
	"magpie/test/kit/redistest"
)

const (
	apiSecret = "a-secret-of-at-least-thirty-two-bytes!"
	apiKey    = "the-key-of-servers"
)

// apiNode is a node that is asked with the API key.
type apiNode struct {
	*kit.Node
	t *testing.T
}

// servers starts two nodes on one redis-server that want a token from clients
// and a key from servers.
func servers(t *testing.T) (*redistest.Server, apiNode, apiNode) {
	t.Helper()
	r, n1, n2 := two(t, "--token-secret", apiSecret, "--api-key", apiKey)
	return r, apiNode{n1, t}, apiNode{n2, t}
}

// api calls the server API and returns the answer.
func (n apiNode) api(method, body string) string {
	n.t.Helper()
	status, answer := n.Post("/api/"+method, body, "X-API-Key: "+apiKey, "Content-Type: application/json")
	if status != http.StatusOK {
		n.t.Fatalf("%s: %d %s", method, status, answer)
	}
	return strings.TrimSpace(answer)
}

func (n apiNode) wantAPI(method, body, answer string) {
	n.t.Helper()
	if got := n.api(method, body); got != answer {
		n.t.Errorf("%s %s\ngot  %s\nwant %s", method, body, got, answer)
	}
}

// as is the query by which a user connects.
func as(t *testing.T, user, query string) string {
	return query + "&token=" + sign(t, apiSecret, user)
}

func wantClose(t *testing.T, s *kit.Socket, code int, words string) {
	t.Helper()
	if got, reason := s.CloseCode(); got != code || !strings.Contains(reason, words) {
		t.Errorf("closed with %d %s, want %d %s", got, reason, code, words)
	}
}

// Whatever node a server asks, sessions on every node obey, and nobody else's.
func TestServersSteerSessionsOnEveryNode(t *testing.T) {
	t.Parallel()
	_, n1, n2 := servers(t)
	near, far := n1.Dial(as(t, "42", "channel=chat")), n2.Dial(as(t, "42", "channel=chat"))
	stream := n2.Events(as(t, "42", "channel=chat&channel=news"), "")
	other, bystander := n2.Dial(as(t, "42", "channel=news")), n2.Dial(as(t, "43", "channel=chat"))
	kit.Eventually(t, "the sessions are there", func() bool {
		return strings.Contains(n1.api("presence_stats", `{"channel":"chat"}`), `"num_clients":4`)
	})

	n1.wantAPI("unsubscribe", `{"user":"42","channel":"chat"}`, `{"result":{}}`)
	wantClose(t, near, 4506, "server unsubscribe")
	wantClose(t, far, 4506, "server unsubscribe")
	if e := stream.Wait(1)[0]; e.Name != "unsubscribe" || e.Data != `{"channel":"chat","code":2000,"reason":"server unsubscribe"}` {
		t.Errorf("the stream got %+v", e)
	}
	n1.api("publish", `{"channel":"chat","data":"not for 42"}`)
	n1.api("publish", `{"channel":"news","data":{"a" : 1}}`)
	if e := stream.Wait(2)[1]; e.Data != `{"a" : 1}` || strings.Contains(e.ID, "chat") {
		t.Errorf("the stream's other channel: %+v", e)
	}
	other.Wait(1)

	n2.wantAPI("disconnect", `{"user":"42","disconnect":{"code":4321,"reason":"so long"}}`, `{"result":{}}`)
	wantClose(t, other, 4321, "so long")
	stream.WaitClosed()
	if e := stream.All()[2]; e.Name != "disconnect" || e.Data != `{"code":4321,"reason":"so long"}` {
		t.Errorf("the stream's last event: %+v", e)
	}
	bystander.Wait(1)
	if !bystander.Open() || len(bystander.All()) != 1 {
		t.Errorf("user 43 got %q and is open: %v", bystander.All(), bystander.Open())
	}
}

// A stream without a channel is for nothing.
func TestAStreamEndsWithItsLastChannel(t *testing.T) {
	t.Parallel()
	_, n1, n2 := servers(t)
	s := n2.Events(as(t, "42", "channel=chat"), "")
	n1.api("unsubscribe", `{"user":"42","channel":"news"}`)
	n1.api("publish", `{"channel":"chat","data":1}`)
	s.Wait(1)
	n1.api("unsubscribe", `{"user":"42","channel":"chat"}`)
	s.WaitClosed()
	if all := s.All(); len(all) != 2 || all[1].Name != "unsubscribe" {
		t.Errorf("the stream got %+v", all)
	}
}

func TestServersSetWhenSessionsEnd(t *testing.T) {
	t.Parallel()
	_, n1, n2 := servers(t)
	a, b, c := n2.Dial(as(t, "1", "channel=chat")), n2.Dial(as(t, "2", "channel=chat")), n2.Dial(as(t, "3", "channel=chat"))
	n1.api("refresh", `{"user":"1","expired":true}`)
	wantClose(t, a, 4501, "token expired")
	n1.api("refresh", fmt.Sprintf(`{"user":"2","expire_at":%d}`, time.Now().Add(time.Second).Unix()))
	wantClose(t, b, 4501, "token expired")
	n1.api("disconnect", `{"user":"3","disconnect":{"code":3010,"reason":"anew"}}`)
	wantClose(t, c, 4007, "anew") // a code of the other protocol that asks to come back
}

func TestTheAPISeesAllNodes(t *testing.T) {
	t.Parallel()
	_, n1, n2 := servers(t)
	n1.Dial(as(t, "42", "channel=chat"))
	n2.Dial(as(t, "42", "channel=chat"))
	n2.Dial(as(t, "43", "channel=news:1"))
	n1.wantAPI("channels", `{}`, `{"result":{"channels":{"chat":{"num_clients":2},"news:1":{"num_clients":1}}}}`)
	n2.wantAPI("channels", `{"pattern":"news:*"}`, `{"result":{"channels":{"news:1":{"num_clients":1}}}}`)
	var info struct {
		Result struct {
			Nodes []struct {
				UID        string
				NumClients int `json:"num_clients"`
			}
		}
	}
	if err := json.Unmarshal([]byte(n1.api("info", `{}`)), &info); err != nil {
		t.Fatal(err)
	}
	nodes := info.Result.Nodes
	if len(nodes) != 2 || nodes[0].UID == nodes[1].UID || nodes[0].NumClients+nodes[1].NumClients != 3 {
		t.Errorf("info: %+v", nodes)
	}
	kit.Eventually(t, "presence sees all nodes", func() bool {
		return n1.api("presence_stats", `{"channel":"chat"}`) == `{"result":{"num_clients":2,"num_users":1}}`
	})
	if got := n2.api("presence", `{"channel":"chat"}`); strings.Count(got, `"user":"42"`) != 2 {
		t.Errorf("presence: %s", got)
	}
}

// One call, ten thousand channels: Redis reads them in a few pieces, not one
// by one.
func TestABroadcastIsPipelined(t *testing.T) {
	t.Parallel()
	r, n1, n2 := servers(t)
	s := n2.Dial(as(t, "42", "channel=c:9999&format=envelope"))
	const count = 10_000
	names := make([]string, count)
	for i := range names {
		names[i] = fmt.Sprintf("c:%d", i)
	}
	list, err := json.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	before, begin := reads(t, r), time.Now()
	got := n1.api("broadcast", `{"data":{"a":1},"channels":`+string(list)+`}`)
	took, used := time.Since(begin), reads(t, r)-before
	if n := strings.Count(got, `"offset":1,`); n != count {
		t.Errorf("%d of %d channels have it: %.300s", n, count, got)
	}
	if used > count/10 {
		t.Errorf("Redis read %d times", used)
	}
	if e := s.Envelopes(1)[0]; string(e.Data) != `{"a":1}` || e.Offset != 1 {
		t.Errorf("a subscriber got %+v", e)
	}
	t.Logf("%d channels in %s, %d reads by Redis", count, took.Round(time.Millisecond), used)
}

// reads is how often the server has read from its sockets.
func reads(t *testing.T, r *redistest.Server) (n int) {
	t.Helper()
	for line := range strings.Lines(r.Do("INFO", "stats")) {
		if value, ok := strings.CutPrefix(line, "total_reads_processed:"); ok {
			if _, err := fmt.Sscan(value, &n); err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("this Redis does not count its reads")
	return 0
}

func TestTheAPIReadsAndRemovesLogs(t *testing.T) {
	t.Parallel()
	_, n1, n2 := servers(t)
	live := n2.Dial(as(t, "42", "channel=chat"))
	n1.api("publish", `{"channel":"chat","data":1,"idempotency_key":"k","tags":{"a":"b"}}`)
	n2.api("publish", `{"channel":"chat","data":1,"idempotency_key":"k"}`) // D4: on any node
	n1.api("publish", `{"channel":"chat","data":"typing","skip_history":true}`)
	n2.api("batch", `{"commands":[{"publish":{"channel":"chat","b64data":"AP8="}},{"publish":{"channel":"chat","data":3}}]}`)
	if got := live.Wait(4); strings.Join(got, " ") != "1 \"typing\" \x00\xff 3" {
		t.Errorf("live: %q", got)
	}
	history := n2.api("history", `{"channel":"chat","limit":-1}`)
	if !strings.HasPrefix(history, `{"result":{"publications":[{"data":1,"offset":1,"tags":{"a":"b"}},{"data":{"b64":"AP8="},"offset":2},{"data":3,"offset":3}],`) {
		t.Errorf("history: %s", history)
	}
	var epoch struct{ Result struct{ Epoch string } }
	json.Unmarshal([]byte(history), &epoch)
	since := fmt.Sprintf(`{"channel":"chat","limit":10,"since":{"offset":2,"epoch":%q}}`, epoch.Result.Epoch)
	if got := n1.api("history", since); !strings.Contains(got, `[{"data":3,"offset":3}]`) {
		t.Errorf("since: %s", got)
	}
	n1.wantAPI("history_remove", `{"channel":"chat"}`, `{"result":{}}`)
	if got := n2.api("history", since); !strings.Contains(got, `"code":112`) {
		t.Errorf("a position of before: %s", got)
	}
}

// A node that hangs holds nothing up for long, and the server is told; one
// that is dead is not waited for.
func TestOrdersWhenANodeIsGone(t *testing.T) {
	t.Parallel()
	_, n1, n2 := servers(t)
	s := n1.Dial(as(t, "42", "channel=chat"))
	n2.Freeze()
	begin := time.Now()
	if got := n1.api("disconnect", `{"user":"42"}`); !strings.Contains(got, `"code":100`) || !strings.Contains(got, "same order again") {
		t.Errorf("with a node that hangs: %s", got)
	}
	if took := time.Since(begin); took > kit.Patience {
		t.Errorf("it took %s", took)
	}
	wantClose(t, s, 4506, "force disconnect")
	if got := n1.api("info", `{}`); strings.Count(got, `"uid"`) != 1 {
		t.Errorf("info: %s", got)
	}
	n2.Thaw()
	kit.Eventually(t, "the node obeys again", func() bool { return n1.api("disconnect", `{"user":"42"}`) == `{"result":{}}` })
	n2.Kill()
	kit.Eventually(t, "a dead node is not waited for", func() bool { return n1.api("disconnect", `{"user":"42"}`) == `{"result":{}}` })
}

// Without Redis every call says so, soon, and none pretends.
func TestTheAPIWithoutRedis(t *testing.T) {
	t.Parallel()
	r, n1, _ := servers(t)
	r.Kill()
	begin := time.Now()
	for method, body := range map[string]string{
		"publish": `{"channel":"chat","data":1}`, "history": `{"channel":"chat","limit":1}`, "disconnect": `{"user":"42"}`, "info": `{}`,
	} {
		if got := n1.api(method, body); !strings.Contains(got, `"code":100`) {
			t.Errorf("%s: %s", method, got)
		}
	}
	if got := n1.api("broadcast", `{"channels":["a","b","no space"],"data":1}`); strings.Count(got, `"code":100`) != 2 || !strings.Contains(got, `"code":107`) {
		t.Errorf("broadcast: %s", got)
	}
	if took := time.Since(begin); took > kit.Patience {
		t.Errorf("five calls took %s", took)
	}
	r.Restart()
	kit.Eventually(t, "publishing works again", func() bool { return strings.Contains(n1.api("publish", `{"channel":"chat","data":1}`), `"offset"`) })
	kit.Eventually(t, "orders work again", func() bool { return n1.api("disconnect", `{"user":"42"}`) == `{"result":{}}` })
}

// In open mode this machine's programs need no key; pages of other sites get
// nothing through.
func TestTheAPIInOpenMode(t *testing.T) {
	t.Parallel()
	n := kit.Start(t)
	for _, c := range []struct {
		kind, origin string
		status       int
	}{
		{"application/json", "", 200},
		{"text/plain", "", 415},
		{"application/x-www-form-urlencoded", "https://evil.example", 403},
		{"application/json", "https://evil.example", 403},
	} {
		headers := []string{"Content-Type: " + c.kind}
		if c.origin != "" {
			headers = append(headers, "Origin: "+c.origin)
		}
		if got, _ := n.Post("/api/publish", `{"channel":"chat","data":1}`, headers...); got != c.status {
			t.Errorf("%s from %q: %d, want %d", c.kind, c.origin, got, c.status)
		}
	}
}

// The Centrifuge door's sessions obey in their protocol's words.
func TestServersSteerCentrifugeSessions(t *testing.T) {
	t.Parallel()
	_, n1, n2 := servers(t)
	s := n2.Centrifuge(sign(t, apiSecret, "42"))
	other := n2.Centrifuge(sign(t, apiSecret, "43"))
	n1.wantAPI("subscribe", `{"user":"42","channel":"news","data":{"why":1},"info":{"role":"x"}}`, `{"result":{}}`)
	s.WaitFor(`"channel":"news"`, `"subscribe":`, `"data":{"why":1}`)
	n1.api("publish", `{"channel":"news","data":{"a":1}}`)
	s.WaitFor(`"channel":"news"`, `"pub":`, `"data":{"a":1}`)
	kit.Eventually(t, "presence shows the subscription's info", func() bool {
		return strings.Contains(n1.api("presence", `{"channel":"news"}`), `"chan_info":{"role":"x"}`)
	})
	n1.wantAPI("unsubscribe", `{"user":"42","channel":"news"}`, `{"result":{}}`)
	s.WaitFor(`"channel":"news"`, `"unsubscribe":`, `2000`)
	n1.wantAPI("refresh", fmt.Sprintf(`{"user":"42","expire_at":%d}`, time.Now().Add(time.Hour).Unix()), `{"result":{}}`)
	s.WaitFor(`"refresh":`)
	n1.wantAPI("disconnect", `{"user":"42"}`, `{"result":{}}`)
	wantClose(t, s, 3503, "force disconnect")
	if !other.Open() || len(other.All()) != 1 {
		t.Errorf("user 43 got %q", other.All())
	}
}

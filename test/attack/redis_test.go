package attack

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"magpie/test/kit"
	"magpie/test/kit/redistest"
)

// commands are texts that would do harm to a Redis that took them for its own
// protocol, for an inline command, or for Lua.
var commands = []string{
	"\r\nFLUSHALL\r\n", "*1\r\n$8\r\nFLUSHALL\r\n", "x\r\n$8\r\nFLUSHALL\r\n", "'\"]] redis.call('FLUSHALL') --[[", "\x00FLUSHALL\x00",
	"%s%n%v", "]}{[*?\\", "m1 1 a 1 http 0\nforged",
}

// J13: bytes that mean something to Redis mean nothing on the way through: in
// payloads and keys they arrive as they are, in names they are refused.
func TestNothingIsTakenForACommand(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	n := kit.Start(t, "--redis", r.URL)
	r.Do("SET", "witness", "1")
	l := n.Dial("format=envelope")
	for i, text := range commands {
		if status, body := n.Post("/publish/chat", text); status != 200 {
			t.Errorf("payload %q: %d %s", text, status, body)
		}
		// Header values are what HTTP lets through; the JSON API takes any.
		body, err := json.Marshal(map[string]any{"channel": "chat", "data": i, "idempotency_key": text, "tags": map[string]string{text: text}})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if status, answer := n.Post("/api/publish", string(body), "Content-Type: application/json"); status != 200 || !strings.Contains(answer, `"result"`) {
				t.Logf("key %q: %d %s", text, status, answer) // refused is as good
			}
		}
		for _, name := range []string{"a" + text, text, "{" + text + "}"} {
			b, _ := json.Marshal(map[string]any{"channel": name, "data": 1})
			if _, answer := n.Post("/api/publish", string(b), "Content-Type: application/json"); !strings.Contains(answer, `"error"`) {
				t.Errorf("name %q: %s", name, answer)
			}
		}
	}
	n.Publish("chat", "fence")
	l.WaitFor("fence")
	seen := map[string]bool{}
	for _, f := range l.All() {
		var e struct{ Data json.RawMessage }
		var text string
		if json.Unmarshal([]byte(f), &e) == nil && json.Unmarshal(e.Data, &text) == nil {
			seen[text] = true
		}
	}
	for _, text := range commands {
		if !seen[text] {
			t.Errorf("payload %q did not arrive as it was", text)
		}
	}
	if got := r.Do("GET", "witness"); got != "1" {
		t.Errorf("the witness is gone: %q", got)
	}
}

// N2, N3: names of Redis's own channels and of those by which nodes talk are
// names like any other: who listens to them hears nothing of what Redis and
// nodes say there, and who publishes there is not heard by nodes.
func TestInternalNamesAreOrdinary(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--ingest-channels", "*"}} {
		r := redistest.Start(t, "--notify-keyspace-events", "KEA")
		n := kit.Start(t, append([]string{"--redis", r.URL}, args...)...)
		victim := n.Dial("channel=chat")
		names := []string{"magpie:bus", "magpie:probe:x", "__keyspace@0__:x", "__keyevent@0__:set", "__sentinel__:hello", "magpie:rejected"}
		for _, name := range strings.Fields(r.Do("PUBSUB", "CHANNELS", "magpie:*")) {
			if status, _ := n.Get("/sse?channel=" + url.QueryEscape(name)); status != 400 {
				t.Errorf("a client may listen to %s: %d", name, status)
			}
		}
		var ears []*kit.Socket
		for _, name := range names {
			ears = append(ears, n.Dial("channel="+name))
		}
		order := `{"v":1,"k":"order","from":"x"}` + "\n" + `{"action":"disconnect","user":"","client":"","code":4999}`
		for _, name := range names {
			n.Publish(name, order)
			r.Do("SET", "x", "1")
		}
		kit.Eventually(t, "some probes", func() bool { return measure(t, n, "magpie_redis_probe_seconds_count") > 4 })
		n.Publish("chat", "fence")
		victim.WaitFor("fence")
		for i, ear := range ears {
			for _, f := range ear.All() {
				if f != order {
					t.Errorf("%v: at %s somebody hears %q", args, names[i], f)
				}
			}
		}
		if len(victim.All()) != 1 {
			t.Errorf("%v: the victim hears %q", args, victim.All())
		}
	}
}

// A storm of clients of every door that come, ask, publish and go at any
// moment, while Redis dies, comes back and stops for a moment. Afterwards
// everything is as before: what is published arrives, nothing is left over.
// The binary has the race detector.
func TestStorm(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	n := kit.Start(t, "--redis", r.URL, "--ping-interval", "1s")
	for range 2 * runtime.NumCPU() { // pollers start with their first connection
		n.Dial("").Close()
		n.Centrifuge("").Close()
		n.Events("channel=chat", "").Close()
	}
	kit.Eventually(t, "they have gone", func() bool { return measure(t, n, "magpie_sessions") == 0 })
	idle := measure(t, n, "go_goroutines")
	ctx, cancel := context.WithTimeout(context.Background(), 9*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			dice := rand.New(rand.NewPCG(uint64(i), 7))
			for ctx.Err() == nil {
				life, end := context.WithTimeout(ctx, time.Duration(1+dice.IntN(400))*time.Millisecond)
				stormy[i%len(stormy)](life, n, dice)
				end()
			}
		})
	}
	all.Go(func() {
		for k := range 3 {
			wait(ctx, 1200*time.Millisecond)
			switch k % 3 {
			case 0:
				r.Kill()
				wait(ctx, 300*time.Millisecond)
				r.Restart()
			case 1:
				r.Freeze()
				wait(ctx, 1500*time.Millisecond)
				r.Thaw()
			case 2:
				r.Do("CLIENT", "KILL", "TYPE", "pubsub")
				r.Do("CLIENT", "KILL", "TYPE", "normal")
			}
		}
	})
	all.Wait()
	kit.Eventually(t, "ready again", func() bool { status, _ := n.Get("/readyz"); return status == 200 })
	l := n.Dial("channel=storm:0")
	n.Publish("storm:0", "fence")
	l.WaitFor("fence")
	l.Close()
	if opened := measure(t, n, "magpie_sessions_opened_total"); opened < 200 {
		t.Errorf("only %v sessions: no storm", opened)
	}
	for i := range 6 {
		call := fmt.Sprintf(`{"channel":"storm:%d"}`, i)
		kit.Eventually(t, "nobody is in "+call, func() bool {
			_, answer := n.Post("/api/presence", call, "Content-Type: application/json")
			return strings.Contains(answer, `"presence":{}`)
		})
	}
	for _, what := range []string{"magpie_sessions", "magpie_subscriptions", "magpie_channels"} {
		kit.Eventually(t, what+" is 0", func() bool { return measure(t, n, what) == 0 })
	}
	kit.Eventually(t, fmt.Sprintf("no more than %v goroutines", idle+3), func() bool { return measure(t, n, "go_goroutines") <= idle+3 })
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// stormy are what a client of the storm may do with its short life.
var stormy = []func(context.Context, *kit.Node, *rand.Rand){
	func(ctx context.Context, n *kit.Node, dice *rand.Rand) { // raw
		c, _, err := websocket.Dial(ctx, fmt.Sprintf("ws://%s/websocket?channel=storm:%d", n.Addr, dice.IntN(4)), nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for ctx.Err() == nil {
			if c.Write(ctx, websocket.MessageText, []byte("x")) != nil {
				return
			}
			if _, _, err := c.Read(ctx); err != nil {
				return
			}
		}
	},
	func(ctx context.Context, n *kit.Node, dice *rand.Rand) { // SSE
		query := fmt.Sprintf("/sse?channel=storm:%d&channel=storm:%d&channel=storm:5", dice.IntN(4), dice.IntN(4))
		req, _ := http.NewRequestWithContext(ctx, "GET", n.URL(query), nil)
		req.Close = true // no connection of this process is left to be counted
		if res, err := http.DefaultClient.Do(req); err == nil {
			kit.Read(res, nil)
		}
	},
	func(ctx context.Context, n *kit.Node, dice *rand.Rand) { // Centrifuge, one command after the other without waiting
		c, _, err := websocket.Dial(ctx, "ws://"+n.Addr+"/connection/websocket", nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		_ = c.Write(ctx, websocket.MessageText, []byte(`{"id":1,"connect":{}}`))
		for id := 2; ctx.Err() == nil; id++ {
			ch := fmt.Sprintf("storm:%d", dice.IntN(4))
			text := []string{
				fmt.Sprintf(`{"id":%d,"subscribe":{"channel":%q,"recover":true}}`, id, ch),
				fmt.Sprintf(`{"id":%d,"unsubscribe":{"channel":%q}}`, id, ch),
				fmt.Sprintf(`{"id":%d,"publish":{"channel":%q,"data":1}}`, id, ch),
				fmt.Sprintf(`{"id":%d,"presence":{"channel":%q}}`, id, ch),
				fmt.Sprintf(`{"id":%d,"history":{"channel":%q,"limit":5}}`, id, ch),
			}[dice.IntN(5)]
			if c.Write(ctx, websocket.MessageText, []byte(text)) != nil {
				return
			}
			if _, _, err := c.Read(ctx); err != nil {
				return
			}
		}
	},
	func(ctx context.Context, n *kit.Node, dice *rand.Rand) { // a server that steers
		ch := fmt.Sprintf("storm:%d", dice.IntN(4))
		_, answer := n.Post("/api/presence", fmt.Sprintf(`{"channel":%q}`, ch), "Content-Type: application/json")
		var got struct {
			Result struct{ Presence map[string]any }
		}
		_ = json.Unmarshal([]byte(answer), &got)
		for client := range got.Result.Presence {
			for _, call := range []string{"subscribe", "unsubscribe", "disconnect"} {
				n.Post("/api/"+call, fmt.Sprintf(`{"client":%q,"channel":"storm:4"}`, client), "Content-Type: application/json")
			}
		}
		wait(ctx, 20*time.Millisecond)
	},
}

package attack

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"magpie/test/kit"
	"magpie/test/kit/redistest"
)

const apiKey = "0123456789abcdef0123456789abcdef"

// openRule lets guests do what they like, also where users have tokens.
func openRule(more string) string {
	return `[{"match":"*","subscribe":"anyone","publish":"anyone","history":"anyone"` + more + `}]`
}

// Y2, R5: a key that a guest or another user has used is not in the way of a
// server, nor of a user; a retry of the same publisher is answered as one (D4),
// whichever door it takes.
func TestKeysOfOthersAreNotInTheWay(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	for _, args := range [][]string{nil, {"--redis", r.URL}} {
		n := kit.Start(t, append(args, "--token-secret", secret, "--api-key", apiKey, "--rules", openRule(""))...)
		server, ann, bob := "X-API-Key: "+apiKey, "X-Magpie-Token: "+signed(t, "ann"), "X-Magpie-Token: "+signed(t, "bob")
		for i, who := range []string{"X-Nobody: a guest", server, ann, bob} {
			_, want, _ := strings.Cut(mustPublish(t, n, fmt.Sprint(i), who), `"offset":`)
			if !strings.HasPrefix(want, fmt.Sprint(i+1)) {
				t.Errorf("%v: publisher %d: %s", args, i, want)
			}
			if again := mustPublish(t, n, fmt.Sprint(i), who); !strings.Contains(again, fmt.Sprintf(`"offset":%d,`, i+1)) || !strings.Contains(again, `"duplicate":true`) {
				t.Errorf("%v: publisher %d again: %s", args, i, again)
			}
			if status, _ := n.Post("/publish/chat", "else", who, "Idempotency-Key: deploy-214"); status != 409 {
				t.Errorf("%v: publisher %d with another payload: %d", args, i, status)
			}
		}
		if _, answer := n.Post("/api/publish", `{"channel":"chat","data":1,"idempotency_key":"deploy-214"}`, server, "Content-Type: application/json"); !strings.Contains(answer, `"offset":2`) {
			t.Errorf("%v: the server's retry at its other door: %s", args, answer)
		}
	}
	if got := r.Do("FCALL", "magpie_publish", "1", "chat", "1", "deploy-214"); !strings.HasPrefix(got, "2") {
		t.Errorf("the server's retry as FCALL: %q", got)
	}
}

func mustPublish(t *testing.T, n *kit.Node, payload, who string) string {
	t.Helper()
	status, body := n.Post("/publish/chat", payload, who, "Idempotency-Key: deploy-214")
	if status != 200 {
		t.Errorf("%.12s…: %d %s", who, status, body)
	}
	return body
}

// R6: whoever floods channels with the largest messages fills their logs, and not
// Redis, whichever way they come: others go on publishing. Without the bound of
// log.bytes 64 MB are full after a second.
func TestLogsDoNotFillRedis(t *testing.T) {
	t.Parallel()
	const messages, bound = 300, 4 << 20
	r := redistest.Start(t, "--maxmemory", "64mb", "--maxmemory-policy", "noeviction")
	n := kit.Start(t, "--redis", r.URL, "--ingest-streams", "stream")
	number := func(args ...string) int {
		v, _ := strconv.Atoi(r.Do(args...))
		return v
	}
	payload := strings.Repeat("x", 60_000)
	plain := n.Dial("channel=plain") // it is listened to
	for _, way := range []struct {
		channel string
		publish func(i int, payload string)
	}{
		{"http", func(i int, payload string) {
			if status, body := n.Post("/publish/http", payload, fmt.Sprintf("Idempotency-Key: %d", i)); status != 200 {
				t.Fatalf("message %d: %d %s", i, status, body)
			}
		}},
		{"fcall", func(_ int, payload string) { r.Do("FCALL", "magpie_publish", "1", "fcall", payload) }},
		{"plain", func(_ int, payload string) { r.Do("PUBLISH", "plain", payload) }},
		{"stream", func(_ int, payload string) { r.Do("XADD", "stream", "MAXLEN", "100", "*", "payload", payload) }},
	} {
		for i := range messages {
			way.publish(i, payload)
		}
		way.publish(messages, "last")
		key := "magpie:{" + way.channel + "}:log"
		kit.Eventually(t, "the last is in the log of "+way.channel, func() bool { return strings.HasSuffix(r.Do("XREVRANGE", key, "+", "-", "COUNT", "1"), "last") })
		held, size := number("XLEN", key), number("MEMORY", "USAGE", key, "SAMPLES", "0")
		if held < bound*7/8/60_000-1 || size > bound*5/4 {
			t.Errorf("%s: %d messages are held, in %d bytes", way.channel, held, size)
		}
	}
	plain.Close()
	r.Do("DEL", "stream")
	if _, used, _ := strings.Cut(r.Do("INFO", "memory"), "used_memory_dataset:"); len(used) > 0 {
		text, _, _ := strings.Cut(used, "\r")
		if data, err := strconv.Atoi(text); err != nil || data > 4*bound*5/4+4<<20 {
			t.Errorf("Redis holds %d bytes, %v", data, err)
		}
	}
	n.Publish("others", "still here")
}

// R4: names that nobody ever used, subscribed to and left, read and published to as
// fast as it goes, by one connection and over HTTP, leave no more keys in Redis than
// max_new_channels allows; the refusal says so, and others do not notice.
func TestNamesNeverUsedBefore(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	n := kit.Start(t, "--redis", r.URL, "--max-new-channels", "60", "--max-subscriptions", "5") // twice 60 at once
	keys := func() int {
		v, _ := strconv.Atoi(r.Do("DBSIZE"))
		return v
	}
	before := keys()
	c := n.Centrifuge("")
	id := 1
	for i := range 200 {
		for _, command := range []string{
			`{"id":%d,"subscribe":{"channel":"s%d"}}`, `{"id":%d,"unsubscribe":{"channel":"s%d"}}`,
			`{"id":%d,"history":{"channel":"h%d"}}`, `{"id":%d,"publish":{"channel":"p%d","data":1}}`,
		} {
			id++
			c.Send(fmt.Sprintf(command, id, i))
		}
	}
	c.WaitFor(fmt.Sprintf(`"id":%d,`, id), `"code":111`, `"temporary":true`)
	many := keys() - before
	if many < 120 || many > 2*120+20 { // a log and its meta
		t.Errorf("one connection: %d keys", many)
	}
	full := n.Centrifuge("") // in five channels; what it asks for beyond them Redis never hears of
	for i := range 20 {
		full.Send(fmt.Sprintf(`{"id":%d,"subscribe":{"channel":"full%d"}}`, i+2, i))
	}
	full.WaitFor(`"id":21,`, `"code":106`)
	if got := strings.Count(r.Do("KEYS", "magpie:{full*}:meta"), "meta"); got != 5 {
		t.Errorf("%d channels of a connection that may be in 5", got)
	}
	many = keys() - before
	var refused string
	for i := range 200 {
		if status, body := n.Post(fmt.Sprintf("/publish/http%d", i), "x"); status == 429 {
			refused = body
		}
	}
	if !strings.Contains(refused, "setting max_new_channels") {
		t.Errorf("over HTTP: %q", refused)
	}
	res := n.Ask("GET", "/history/never", "")
	res.Body.Close()
	if res.StatusCode != 429 || res.Header.Get("Retry-After") == "" {
		t.Errorf("history: %d, %v", res.StatusCode, res.Header)
	}
	if n := keys() - before - many; n > 2*120+20 {
		t.Errorf("over HTTP: %d keys", n)
	}
	if measure(t, n, "magpie_new_channels_refused_total") < 400 {
		t.Error("refusals are not counted")
	}
	n.Publish("http1", "a channel that was there")
	n.Centrifuge("").Send(`{"id":2,"subscribe":{"channel":"other"}}`)
}

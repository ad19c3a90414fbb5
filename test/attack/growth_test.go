package attack

import (
	"fmt"
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

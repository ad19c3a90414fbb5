// Package e2e runs the real binary on real redis-servers and looks at it from
// outside, as clients and publishers do.
package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	_ "magpie/internal/app" // so that a cached result is not one of another binary
	"magpie/test/kit"
	"magpie/test/kit/redistest"
)

func TestMain(m *testing.M) { kit.Main(m) }

// two starts two nodes on one redis-server.
func two(t *testing.T, args ...string) (*redistest.Server, *kit.Node, *kit.Node) {
	t.Helper()
	r := redistest.Start(t)
	args = append([]string{"--redis", r.URL}, args...)
	return r, kit.Start(t, args...), kit.Start(t, args...)
}

// history reads a channel's whole log, page by page.
func history(t *testing.T, n *kit.Node, channel string) (list []kit.Envelope) {
	t.Helper()
	for since := ""; ; since = list[len(list)-1].Position() {
		status, body := n.Get("/history/" + url.PathEscape(channel) + "?limit=1000&since=" + since)
		var page struct{ Messages []kit.Envelope }
		if err := json.Unmarshal([]byte(body), &page); err != nil || status != http.StatusOK {
			t.Fatalf("history: %d %s", status, body)
		}
		list = append(list, page.Messages...)
		if len(page.Messages) < 1000 {
			return list
		}
	}
}

// last is the newest of a client's frames.
func last(list []string) string { return append([]string{""}, list...)[len(list)] }

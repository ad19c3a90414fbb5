package attack

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"magpie/test/kit"
	"magpie/test/kit/redistest"
)

// A7, A8: what is for those who run the node is at internal_addr: strangers at the
// public port learn whether it is ready and nothing more. Neither shows a secret.
func TestWhatIsInternal(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	r.Do("CONFIG", "SET", "requirepass", "redis-password-1234")
	internal := kit.FreeAddr(t)
	const key, token = "api-key-0123456789abcdef", "token-secret-0123456789abcdef-0123456789"
	n := kit.Start(t, "--internal-addr", internal, "--api-key", key, "--token-secret", token,
		"--redis", "redis://:redis-password-1234@"+strings.TrimPrefix(r.URL, "redis://"))
	inside := *n
	inside.Addr = internal
	for _, x := range []struct {
		n      *kit.Node
		path   string
		status int
	}{
		{n, "/readyz", 200}, {n, "/livez", 200}, {n, "/metrics", 404}, {n, "/debug/pprof/", 404}, {n, "/debug/pprof/heap", 404},
		{&inside, "/readyz", 200}, {&inside, "/livez", 200}, {&inside, "/metrics", 200}, {&inside, "/debug/pprof/", 200},
		{&inside, "/debug/pprof/goroutine?debug=2", 200}, {&inside, "/debug/pprof/heap?debug=1", 200}, {&inside, "/debug/pprof/cmdline", 404},
		{&inside, "/publish/chat", 404}, {&inside, "/websocket?channel=chat", 404}, {&inside, "/", 404},
	} {
		status, body := x.n.Get(x.path)
		if status != x.status {
			t.Errorf("%s: %d %.200s; want %d", x.path, status, body, x.status)
		}
		for _, secret := range []string{key, token, "redis-password"} {
			if strings.Contains(body, secret) {
				t.Errorf("%s has a secret", x.path)
			}
		}
	}
	// A name that leads here is a page's way in.
	c := inside.Connect()
	io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n")
	if got := status(bufio.NewReader(c)); got != http.StatusForbidden {
		t.Errorf("by another name: %d", got)
	}
	r.Freeze()
	defer r.Thaw()
	kit.Eventually(t, "the node is not ready", func() bool { status, _ := n.Get("/readyz"); return status == http.StatusServiceUnavailable })
	if _, body := n.Get("/readyz"); strings.Contains(body, "Redis") || !strings.Contains(body, "internal_addr") {
		t.Errorf("strangers read %s", body)
	}
	if status, body := inside.Get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "Redis") {
		t.Errorf("inside: %d %s", status, body)
	}
}

// The internal listener is there while the node ends, and public_metrics puts the
// metrics at both.
func TestInternalOutlivesTheRest(t *testing.T) {
	t.Parallel()
	internal := kit.FreeAddr(t)
	n := kit.Start(t, "--internal-addr", internal, "--public-metrics", "--drain-delay", "2s")
	inside := *n
	inside.Addr = internal
	for _, at := range []*kit.Node{n, &inside} {
		if status, _ := at.Get("/metrics"); status != http.StatusOK {
			t.Errorf("metrics: %d", status)
		}
	}
	n.Signal(syscall.SIGTERM)
	kit.Eventually(t, "it says that it ends", func() bool {
		status, body := inside.Get("/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "shutting down")
	})
	if err := n.Wait(); err != nil {
		t.Error(err)
	}
}

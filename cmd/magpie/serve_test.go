package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"magpie/internal/config"
)

// The first minute: start, paste what it says, see it arrive, stop.
func TestServePublishListenStop(t *testing.T) {
	server, url := serve(t)
	server.err.wait(t, server.done, "msg=serving")
	listener := start(t, nil, "sub", "--url", url, "chat", "other")
	r := publishUntilHeard(t, url, listener)
	if r.code != exitOK || !strings.Contains(r.out, `"offset":`) || !strings.Contains(r.out, `"epoch":`) {
		t.Fatalf("%+v", r)
	}
	if line := listener.out.wait(t, listener.done, `"first"`); !strings.HasPrefix(line, "{") || !strings.Contains(line, `"channel":"chat"`) {
		t.Fatalf("sub printed %s", line)
	}
	if r := magpieWith(t, "from a pipe", nil, "pub", "--url", url, "other"); r.code != exitOK {
		t.Fatalf("%+v", r)
	}
	listener.out.wait(t, listener.done, "from a pipe")
	listener.signal(syscall.SIGINT)
	if code := listener.code(); code != exitOK {
		t.Errorf("sub ended with %d: %s", code, listener.err.text())
	}
	server.signal(syscall.SIGTERM)
	if code := server.code(); code != exitOK {
		t.Errorf("serve ended with %d: %s", code, server.err.text())
	}
}

// publishUntilHeard publishes until the listener is in: it starts where the
// channel stands when it comes, so what came before is not its own.
func publishUntilHeard(t *testing.T, url string, listener *process) (r result) {
	t.Helper()
	for limit := time.Now().Add(patience); time.Now().Before(limit); {
		r = magpie(t, nil, "pub", "--url", url, "chat", `"first"`)
		line, more := listener.out.find("first")
		if line != "" {
			return r
		}
		select {
		case <-more:
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatalf("the listener heard nothing; it said:\n%s%s", listener.out.text(), listener.err.text())
	return r
}

// The same key is the same message, also from another process (D4).
func TestPubWithTheSameKeyPublishesOnce(t *testing.T) {
	_, url := serve(t)
	first := magpie(t, nil, "pub", "--url", url, "--idempotency-key", "k", "chat", "x")
	second := magpie(t, nil, "pub", "--url", url, "--idempotency-key", "k", "chat", "x")
	third := magpie(t, nil, "pub", "--url", url, "chat", "x")
	if first.code != exitOK || second != first || third.out == first.out {
		t.Fatalf("%+v\n%+v\n%+v", first, second, third)
	}
}

func TestAddressThatIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	r := magpie(t, nil, "serve", "--addr", addr)
	if r.code != exitFailed || strings.Count(r.errOut, "\n") != 1 || !strings.Contains(r.errOut, addr) || !strings.Contains(r.errOut, "--addr") {
		t.Fatalf("%+v", r)
	}
}

func TestNobodyListens(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + free.Addr().String()
	free.Close()
	for _, args := range [][]string{{"pub", "chat", "x"}, {"sub", "chat"}} {
		r := magpie(t, []string{"MAGPIE_URL=" + url}, args...)
		if r.code != exitFailed || !strings.Contains(r.errOut, "nothing listens at "+url) {
			t.Errorf("%q: %+v", args, r)
		}
	}
}

func TestRedisThatIsNotThere(t *testing.T) {
	r := magpie(t, nil, "serve", "--addr", "127.0.0.1:0", "--redis", "redis://:hunter2@127.0.0.1:1")
	if r.code != exitFailed || !strings.Contains(r.errOut, "127.0.0.1:1") || strings.Contains(r.errOut, "hunter2") {
		t.Fatalf("%+v", r)
	}
}

func TestRefusalsNameTheWayIn(t *testing.T) {
	_, url := serve(t, "--token-secret", testSecret)
	for want, args := range map[string][]string{
		"magpie: chat: the server asks who you are: give --token (MAGPIE_TOKEN) or --api-key": {"sub", "chat"},
		"magpie: the server asks who you are: give --api-key (MAGPIE_API_KEY) or --token":     {"pub", "chat", "x"},
		"give a good --token":      {"pub", "chat", "x", "--token", "a.b.c"},
		"give the right --api-key": {"pub", "chat", "x", "--api-key", testKey + "2"},
	} {
		if r := magpie(t, nil, append(args, "--url", url)...); r.code != exitFailed || !strings.Contains(r.errOut, want) {
			t.Errorf("%q: %+v", args, r)
		}
	}
	// Who says --token is not asked for a key that lies around.
	r := magpie(t, []string{"MAGPIE_API_KEY=wrong"}, "pub", "chat", "x", "--url", url, "--token", newToken(t, "--user", "42"))
	if r.code != exitOK {
		t.Errorf("%+v", r)
	}
}

func TestDoctor(t *testing.T) {
	if r := magpie(t, nil, "doctor", "--addr", "127.0.0.1:0"); r.code != exitOK || !strings.Contains(r.out, "is free") {
		t.Errorf("%+v", r)
	}
	_, url := serve(t)
	addr := strings.TrimPrefix(url, "http://")
	if r := magpie(t, nil, "doctor", "--addr", addr); r.code != exitOK || !strings.Contains(r.out, "up at "+url+" and ready") {
		t.Errorf("%+v", r)
	}
	r := magpie(t, nil, "doctor", "--addr", "127.0.0.1:0", "--redis", "redis://127.0.0.1:1")
	if r.code != exitFailed || !strings.Contains(r.out, "BAD   redis: 127.0.0.1:1 cannot be reached") {
		t.Errorf("%+v", r)
	}
}

// defaults are the settings of a server that was told nothing.
func defaults() *config.Config {
	cfg, err := config.Load(nil, nil)
	if err != nil {
		panic(err)
	}
	return cfg
}

// fake is an application whose steps a test lets happen.
type fake struct {
	start, stop chan error
	failed      chan error
}

func newFake() *fake {
	return &fake{start: make(chan error, 1), stop: make(chan error, 1), failed: make(chan error, 1)}
}

func (f *fake) Start(ctx context.Context) error {
	select {
	case err := <-f.start:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *fake) Addr() string               { return "127.0.0.1:1" }
func (f *fake) Wait() <-chan error         { return f.failed }
func (f *fake) Reload() ([]string, error)  { return nil, nil }
func (f *fake) Stop(context.Context) error { return <-f.stop }
func (f *fake) serving(signals ...os.Signal) *serving {
	queue := make(chan os.Signal, len(signals))
	for _, s := range signals {
		queue <- s
	}
	return &serving{app: f, cfg: defaults(), log: slog.New(slog.NewTextHandler(io.Discard, nil)), signals: queue}
}

// A second signal ends a shutdown that hangs, with the code that shells expect.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	for _, test := range []struct {
		sig  os.Signal
		code int
	}{{syscall.SIGINT, 130}, {syscall.SIGTERM, 143}} {
		f := newFake()
		f.start <- nil
		err := f.serving(syscall.SIGTERM, test.sig).run()
		f.stop <- nil // let the hanging goroutine go
		if e, ok := errors.AsType[exit](err); !ok || e.code != test.code {
			t.Errorf("%s: %v", test.sig, err)
		}
	}
}

// A start that hangs (Redis does not answer) is given up on the first signal.
func TestSignalDuringTheStart(t *testing.T) {
	f := newFake()
	f.stop <- nil
	if err := f.serving(syscall.SIGINT).run(); err != nil {
		t.Fatal(err)
	}
}

func TestServerThatCannotGoOn(t *testing.T) {
	f := newFake()
	f.start <- nil
	f.failed <- errors.New("no more files")
	f.stop <- nil
	if err := f.serving().run(); err == nil || !strings.Contains(err.Error(), "no more files") {
		t.Fatal(err)
	}
}

func TestFailedStartIsCleanedUp(t *testing.T) {
	f := newFake()
	f.start <- errors.New("no luck")
	f.stop <- errors.New("no broom")
	err := f.serving().run()
	if err == nil || !strings.Contains(err.Error(), "no luck") || !strings.Contains(err.Error(), "no broom") {
		t.Fatal(err)
	}
}

// Hints are pasted as they are, so the address in them has to work here.
func TestHintsCanBePasted(t *testing.T) {
	for _, test := range []struct{ asked, addr, url string }{
		{"localhost:8080", "127.0.0.1:8080", "http://localhost:8080"},
		{"127.0.0.1:0", "127.0.0.1:4321", "http://127.0.0.1:4321"},
		{":80", "[::]:80", "http://localhost:80"},
		{"0.0.0.0:80", "0.0.0.0:80", "http://localhost:80"},
		{"[::1]:80", "[::1]:80", "http://[::1]:80"},
		{"10.1.2.3:80", "10.1.2.3:80", "http://10.1.2.3:80"},
	} {
		cfg := defaults()
		cfg.Addr = test.asked
		if got := localURL(cfg, test.addr); got != test.url {
			t.Errorf("%s: %s, want %s", test.asked, got, test.url)
		}
	}
	cfg := defaults()
	cfg.Redis = "redis://:hunter2@localhost"
	open := hintText(cfg, "127.0.0.1:8080")
	cfg.TokenSecrets = []string{testSecret}
	closed := hintText(cfg, "127.0.0.1:8080")
	cfg.APIKeys = []string{"hunter2"}
	keyed := hintText(cfg, "127.0.0.1:8080")
	cfg.Prefix = "shop"
	prefix := hintText(cfg, "127.0.0.1:8080")
	for text, wants := range map[string][]string{
		open:   {`curl -d '{"content":"hi"}' http://localhost:8080/publish/chat`, "curl -N 'http://localhost:8080/sse?channel=chat'", "redis-cli --askpass PUBLISH chat", `new WebSocket("ws://localhost:8080/websocket?channel=chat")`},
		closed: {"curl -H 'Authorization: Bearer TOKEN' -d", "magpie token new --user 42", "curl -N 'http://localhost:8080/sse?channel=chat&token=TOKEN'", "/websocket?channel=chat&token=TOKEN\")"},
		keyed:  {"curl -H 'X-API-Key: YOUR-KEY'"},
		prefix: {"redis-cli --askpass FCALL shop_publish 1 chat '"},
	} {
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("no %s in:\n%s", want, text)
			}
		}
		if strings.Contains(text, "FCALL magpie") || strings.Contains(text, "hunter2") {
			t.Errorf("a secret in:\n%s", text)
		}
	}
}

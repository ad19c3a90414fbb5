package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

// cable is a TCP proxy that a test can cut and mend.
type cable struct {
	listener net.Listener
	target   string
	running  sync.WaitGroup

	mu   sync.Mutex
	cut  bool
	ends []net.Conn
}

func newCable(t *testing.T, target string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{listener: l, target: target}
	c.running.Go(c.accept)
	t.Cleanup(func() {
		l.Close()
		c.set(true)
		c.running.Wait()
	})
	return c
}

func (c *cable) accept() {
	for {
		near, err := c.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", c.target)
		if err != nil {
			near.Close()
			continue
		}
		c.mu.Lock()
		c.ends = append(c.ends, near, far)
		if c.cut {
			near.Close()
			far.Close()
		}
		c.mu.Unlock()
		c.running.Go(func() { io.Copy(near, far); near.Close() })
		c.running.Go(func() { io.Copy(far, near); far.Close() })
	}
}

func (c *cable) set(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	for _, end := range c.ends {
		if cut {
			end.Close()
		}
	}
}

// D1, D2: what was published while the cable was cut comes after it, each
// message once and in order.
func TestSubPrintsWhatItMissed(t *testing.T) {
	_, url := serve(t)
	c := newCable(t, strings.TrimPrefix(url, "http://"))
	sub := start(t, nil, "sub", "--plain", "--url", "http://"+c.listener.Addr().String(), "chat")
	publishUntilHeard(t, url, sub)
	pub := func(payload string) {
		t.Helper()
		if r := magpie(t, nil, "pub", "--url", url, "chat", payload); r.code != exitOK {
			t.Fatalf("%+v", r)
		}
	}
	pub("before")
	sub.out.wait(t, sub.done, "before")
	c.set(true)
	sub.err.wait(t, sub.done, "connection lost")
	for i := range 3 {
		pub(fmt.Sprintf("missed %d", i))
	}
	c.set(false)
	sub.out.wait(t, sub.done, "missed 2")
	pub("after")
	sub.out.wait(t, sub.done, "after")
	_, heard, _ := strings.Cut(sub.out.text(), "before\n")
	if want := "missed 0\nmissed 1\nmissed 2\nafter\n"; heard != want {
		t.Fatalf("after the cut it printed %q, want %q", heard, want)
	}
}

// --since starts in the past.
func TestSubSince(t *testing.T) {
	_, url := serve(t)
	first := magpie(t, nil, "pub", "--url", url, "chat", "one")
	var epoch string
	if _, after, ok := strings.Cut(first.out, `"epoch":"`); ok {
		epoch, _, _ = strings.Cut(after, `"`)
	}
	magpie(t, nil, "pub", "--url", url, "chat", "two")
	sub := start(t, nil, "sub", "--plain", "--url", url, "--since", epoch+".1", "chat")
	sub.out.wait(t, sub.done, "two")
	if got := sub.out.text(); got != "two\n" {
		t.Fatalf("it printed %q", got)
	}
	lost := start(t, nil, "sub", "--url", url, "--since", "nosuchepoch.7", "chat")
	lost.err.wait(t, lost.done, "cannot be had any more (lost)")
}

// staged is a server that plays one scene per connection.
func staged(t *testing.T, scenes ...func(*websocket.Conn, *http.Request)) string {
	t.Helper()
	var mu sync.Mutex
	var running sync.WaitGroup
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/websocket" {
			http.NotFound(w, r)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if len(scenes) == 0 {
			t.Error("one connection too many")
			http.Error(w, "no more", http.StatusForbidden)
			return
		}
		scene := scenes[0]
		scenes = scenes[1:]
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		running.Add(1)
		defer running.Done()
		scene(conn, r)
	}))
	t.Cleanup(func() {
		srv.Close()
		running.Wait()
	})
	return srv.URL
}

func say(t *testing.T, conn *websocket.Conn, r *http.Request, text string) {
	if err := conn.Write(r.Context(), websocket.MessageText, []byte(text)); err != nil {
		t.Error(err)
	}
}

// A close code under 4500 asks to come back, one from 4500 on to stay away;
// after a gap the position is the server's.
func TestSubObeysCloseCodes(t *testing.T) {
	var since []string // written by one scene at a time, read after the last
	url := staged(t,
		func(conn *websocket.Conn, r *http.Request) {
			since = append(since, r.URL.Query().Get("since"))
			say(t, conn, r, `{"channel":"c","epoch":"e1","offset":4,"data":{"a":1}}`)
			conn.Close(4000, "restart")
		},
		func(conn *websocket.Conn, r *http.Request) {
			since = append(since, r.URL.Query().Get("since"))
			say(t, conn, r, `{"gap":{"channel":"c","reason":"lost","from":{"epoch":"e1","offset":4},"now":{"epoch":"e2","offset":9}}}`)
			say(t, conn, r, `{"error":{"code":"x","message":"a word of warning"}}`)
			conn.Close(1012, "")
		},
		func(conn *websocket.Conn, r *http.Request) {
			since = append(since, r.URL.Query().Get("since"))
			say(t, conn, r, "{\"channel\":\"c\",\"offset\":0,\"data\":\n\"a\\nb\"}")
			conn.Close(4501, "token expired")
		},
	)
	r := magpie(t, nil, "sub", "--url", url, "c")
	if r.code != exitFailed || !strings.Contains(r.errOut, "magpie: c: the server closed it: 4501 token expired") {
		t.Errorf("%+v", r)
	}
	if got := strings.Join(since, " "); got != " e1.4 e2.9" {
		t.Errorf("it came with since=%q", got)
	}
	if want := "{\"channel\":\"c\",\"epoch\":\"e1\",\"offset\":4,\"data\":{\"a\":1}}\n{\"channel\":\"c\",\"offset\":0,\"data\":\"a\\nb\"}\n"; r.out != want {
		t.Errorf("it printed %q, want %q", r.out, want)
	}
	for _, want := range []string{"after offset 4 cannot be had any more (lost)", "a word of warning"} {
		if !strings.Contains(r.errOut, want) {
			t.Errorf("it did not say %q:\n%s", want, r.errOut)
		}
	}
}

func TestSubOfSomethingElse(t *testing.T) {
	url := staged(t, func(conn *websocket.Conn, r *http.Request) {
		say(t, conn, r, "hello")
		conn.Read(r.Context())
	})
	if r := magpie(t, nil, "sub", "--url", url, "c"); r.code != exitFailed || !strings.Contains(r.errOut, "not the JSON that a Magpie sends") {
		t.Errorf("%+v", r)
	}
}

// A repeat after a 503 keeps its key; a refusal that will not change is told
// at once.
func TestPubTriesAgainWithTheSameKey(t *testing.T) {
	var mu sync.Mutex
	var keys []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		switch {
		case strings.HasSuffix(r.URL.Path, "/never"):
			http.Error(w, `{"error":{"code":"forbidden","message":"Not here."}}`, http.StatusForbidden)
		case len(keys) < 3:
			http.Error(w, `{"error":{"code":"unavailable","message":"Not now."}}`, http.StatusServiceUnavailable)
		default:
			io.WriteString(w, `{"offset":7,"epoch":"e"}`)
		}
	}))
	defer srv.Close()
	heard := func() []string {
		mu.Lock()
		defer mu.Unlock()
		all := keys
		keys = nil
		return all
	}
	r := magpie(t, nil, "pub", "--url", srv.URL, "chat", "x")
	if got := heard(); r.code != exitOK || r.out != "{\"offset\":7,\"epoch\":\"e\"}\n" || len(got) != 3 || got[0] == "" || got[0] != got[1] || got[1] != got[2] {
		t.Errorf("%+v with keys %q", r, got)
	}
	r = magpie(t, nil, "pub", "--url", srv.URL, "never", "x")
	if got := heard(); r.code != exitFailed || len(got) != 1 || !strings.Contains(r.errOut, "Not here.") {
		t.Errorf("%+v with keys %q", r, got)
	}
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte(`{"channel":"c","epoch":"e1","offset":4,"data":{"a":1}}`))
	f.Add([]byte(`{"gap":{"now":{"epoch":"e","offset":1}}}`))
	f.Add([]byte(`{"b64":"AAE="}`))
	f.Add([]byte(`{"data":"x","offset":-1}`))
	f.Fuzz(func(t *testing.T, frame []byte) {
		for _, plain := range []bool{false, true} {
			var out, errs strings.Builder
			s := stream{listener: &listener{plain: plain, out: &out, err: &errs}, channel: "c"}
			if err := s.take(frame); err == nil && out.Len()+errs.Len() == 0 {
				t.Fatal("a frame was taken and nothing said")
			}
			if !plain && strings.Count(out.String(), "\n") > 1 {
				t.Fatalf("one message in several lines: %q", out.String())
			}
		}
	})
}

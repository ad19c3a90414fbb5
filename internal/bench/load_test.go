package bench

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// faulty is a raw door by another hand, with faults on order: what it does to
// the n-th message for its first receiver.
type faulty struct {
	mu    sync.Mutex
	all   *sync.Cond // that everybody is in conns
	conns []*websocket.Conn
	count int
	held  []byte
	fault map[int]string
}

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	f.mu.Lock()
	f.conns = append(f.conns, c)
	f.all.Broadcast()
	f.mu.Unlock()
	for {
		_, payload, err := c.Read(r.Context())
		if err != nil {
			return
		}
		f.broadcast(payload)
	}
}

func (f *faulty) broadcast(payload []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	// A client knows that it is in before this side has noted it.
	for len(f.conns) < faultyConnections {
		f.all.Wait()
	}
	f.count++
	for i, c := range f.conns {
		out := [][]byte{payload}
		if i == 0 {
			switch f.fault[f.count] {
			case "lose":
				out = nil
			case "repeat":
				out = append(out, payload)
			case "hold":
				f.held, out = payload, nil
			case "release":
				out = append(out, f.held)
			}
		}
		for _, b := range out {
			c.Write(context.Background(), websocket.MessageText, b)
		}
	}
}

func faultyServer(t *testing.T) string {
	f := &faulty{fault: map[int]string{3: "lose", 5: "repeat", 7: "hold", 8: "release"}}
	f.all = sync.NewCond(&f.mu)
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s.URL
}

const faultyConnections = 5

func faultyPlan(url string) Plan {
	return Plan{Connections: faultyConnections, Rate: 100, Size: 100, Duration: 200 * time.Millisecond, Target: Target{URL: url, Door: "raw"}}
}

func checkFaulty(t *testing.T, r Result) {
	t.Helper()
	if r.Joined != faultyConnections || r.Sent != 20 || r.Expected != 100 || r.Received != 99 || r.Lost != 1 || r.Repeated != 1 || r.Reordered != 1 || r.Refused != 0 {
		t.Errorf("%+v", r)
	}
	if l := r.Latency; l.P50 <= 0 || l.P50 > l.P99 || l.P99 > l.Max {
		t.Errorf("%+v", l)
	}
}

// overBothLoops runs a test over a loop of goroutines and, on Linux, over the
// one thread: both say the same of the same server.
func overBothLoops(t *testing.T, test func(t *testing.T, goroutines bool)) {
	t.Run("goroutines", func(t *testing.T) { test(t, true) })
	if haveThread {
		t.Run("thread", func(t *testing.T) { test(t, false) })
	}
}

// One message of a hundred deliveries is lost, one repeated, one late: that
// is what the result has to say, no more and no less.
func TestRunCountsWhatAServerDoesWrong(t *testing.T) {
	overBothLoops(t, func(t *testing.T, goroutines bool) {
		phases := make(map[string]bool)
		p := faultyPlan(faultyServer(t))
		p.Goroutines, p.Quiet = goroutines, 3*time.Second // a busy machine is quiet for a second at times
		r, err := Run(t.Context(), p, func(p Progress) { phases[p.Phase] = true })
		if err != nil {
			t.Fatal(err)
		}
		checkFaulty(t, r)
		if r.Disconnected != 0 || !phases["settling"] {
			t.Errorf("%+v, told of %v", r, phases)
		}
	})
}

// Step by step a load says the same, and what the server and the network did.
func TestLoadCountsWhatAServerDoesWrong(t *testing.T) {
	overBothLoops(t, func(t *testing.T, goroutines bool) {
		p := faultyPlan(faultyServer(t))
		p.Goroutines = goroutines
		if haveThread { // and so /proc
			p.PID = os.Getpid()
		}
		l, err := NewLoad(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if err := l.Connect(); err != nil {
			t.Fatal(err)
		}
		l.Settle()
		if err := l.Publish(nil); err != nil {
			t.Fatal(err)
		}
		r := l.Result()
		checkFaulty(t, r)
		if p.PID != 0 && (r.Server == nil || r.Server.RSSIdle == 0) {
			t.Errorf("%+v", r.Server)
		}
		if in, out := l.Traffic(); in < 100*100 || out < 20*100 {
			t.Errorf("%d bytes came in, %d went out", in, out)
		}
	})
}

// The same over TLS, by a server whose certificate the target's roots signed;
// without them nobody gets in.
func TestRunSpeaksTLS(t *testing.T) {
	f := &faulty{fault: map[int]string{3: "lose", 5: "repeat", 7: "hold", 8: "release"}}
	f.all = sync.NewCond(&f.mu)
	s := httptest.NewUnstartedServer(f)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake that is to fail
	s.StartTLS()
	t.Cleanup(s.Close)
	p := faultyPlan(s.URL)
	if _, err := Run(t.Context(), p, nil); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("%v", err)
	}
	p.Target.Roots = x509.NewCertPool()
	p.Target.Roots.AddCert(s.Certificate())
	r, err := Run(t.Context(), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	checkFaulty(t, r)
}

func TestRunToldToStopStopsAndCounts(t *testing.T) {
	overBothLoops(t, func(t *testing.T, goroutines bool) {
		ctx, cancel := context.WithCancel(t.Context())
		p := faultyPlan(faultyServer(t))
		p.Duration, p.Goroutines = time.Hour, goroutines
		r, err := Run(ctx, p, func(p Progress) {
			if p.Sent > 0 {
				cancel()
			}
		})
		if err != context.Canceled || r.Sent == 0 || r.Joined != faultyConnections {
			t.Errorf("%+v %v", r, err)
		}
	})
}

// A server that hangs up in the middle is seen, and ends nothing else.
func TestRunSeesConnectionsThatEnd(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err == nil {
			c.Close(4001, "too slow")
		}
	}))
	defer s.Close()
	overBothLoops(t, func(t *testing.T, goroutines bool) {
		p := faultyPlan(s.URL)
		p.Quiet, p.Goroutines = 100*time.Millisecond, goroutines
		r, err := Run(t.Context(), p, nil)
		if err != nil || r.Disconnected != faultyConnections || !strings.Contains(strings.Join(r.Trouble, " "), "4001 too slow") {
			t.Errorf("%+v %v", r, err)
		}
	})
}

func TestRunWithoutAServerIsAnError(t *testing.T) {
	overBothLoops(t, func(t *testing.T, goroutines bool) {
		s := httptest.NewServer(http.NotFoundHandler())
		p := faultyPlan(s.URL)
		p.Goroutines = goroutines
		if _, err := Run(t.Context(), p, nil); err == nil || !strings.Contains(err.Error(), "404") {
			t.Errorf("%v", err)
		}
		if l, err := NewLoad(t.Context(), p); err != nil {
			t.Error(err)
		} else {
			if l.Connect() == nil {
				t.Error("connected to nothing")
			}
			l.Close()
		}
		s.Close()
		if _, err := Run(t.Context(), p, nil); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%v", err)
		}
	})
}

// pinging is a server that pings each client twice, and then hangs up when it
// is told to.
func pinging(t *testing.T, answered *atomic.Int64, hangUp <-chan struct{}) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		ctx := c.CloseRead(r.Context())
		for range 2 {
			if c.Ping(ctx) == nil {
				answered.Add(1)
			}
		}
		select {
		case <-hangUp:
		case <-ctx.Done():
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// To hold connections is to answer pings, and an error when not all of them
// are there at its end.
func TestHoldAnswersPings(t *testing.T) {
	overBothLoops(t, func(t *testing.T, goroutines bool) {
		var answered atomic.Int64
		hangUp := make(chan struct{})
		l, err := NewLoad(t.Context(), Plan{Connections: 5, Size: 128, Goroutines: goroutines, Target: Target{URL: pinging(t, &answered, hangUp)}})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if err := l.Connect(); err != nil {
			t.Fatal(err)
		}
		hold := func(until func(err error) bool) {
			t.Helper()
			for end := time.Now().Add(10 * time.Second); !until(l.Hold(time.Millisecond)); {
				if time.Now().After(end) {
					t.Fatalf("nothing happens; %+v", l.Result())
				}
			}
		}
		hold(func(err error) bool {
			if err != nil {
				t.Fatal(err)
			}
			return answered.Load() == 10
		})
		if n := l.Result().Pings; n != 10 {
			t.Errorf("%d pings, want 10", n)
		}
		close(hangUp)
		hold(func(err error) bool { return err != nil })
	})
}

// A message that comes in one frame with the subscription is not missed.
func TestWhatComesWithTheSubscriptionCounts(t *testing.T) {
	c := testClient(t, Target{Door: "centrifuge"}, ignore)
	text := append([]byte(`{"id":2,"subscribe":{}}`+"\n"+`{"push":{"pub":{"data":`), appendPayload(nil, stamp{0, 1, 0}, 128)...)
	if err := c.data(append([]byte("HTTP/1.1 101 Switching Protocols\r\n\r\n"), serverFrame(opText, append(text, "}}}"...))...)); err != nil {
		t.Fatal(err)
	}
	if n := c.load.counts; n.Joined != 1 || n.Received != 1 {
		t.Errorf("%+v", n)
	}
}

// listener is a server of event streams that takes publications over HTTP, as
// many as mayPublish; then it answers 429 and hangs up.
type listener struct {
	mu         sync.Mutex
	streams    []http.ResponseWriter
	mayPublish int
	posted     []string // channels
}

func (s *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		s.mu.Lock()
		s.streams = append(s.streams, w)
		w.(http.Flusher).Flush()
		s.mu.Unlock()
		<-r.Context().Done()
		return
	}
	payload, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mayPublish--; s.mayPublish < 0 || r.Header.Get("X-API-Key") != "k" || r.Header.Get("Authorization") != "Bearer t" {
		w.Header().Set("Connection", "close")
		http.Error(w, "no more", http.StatusTooManyRequests)
		return
	}
	s.posted = append(s.posted, r.URL.Path)
	for _, w := range s.streams {
		fmt.Fprintf(w, "data: %s\n\n", payload)
		w.(http.Flusher).Flush()
	}
	if f, chunked := w.(http.Flusher); chunked && len(s.posted)%2 == 0 {
		f.Flush() // an answer in chunks, as a proxy may make it
	}
	fmt.Fprint(w, "{}")
}

// Clients that only listen publish over HTTP, in order; what the server does
// not take is refused in its words.
func TestListenersPublishOverHTTP(t *testing.T) {
	overBothLoops(t, func(t *testing.T, goroutines bool) {
		server := &listener{mayPublish: 18}
		s := httptest.NewServer(server)
		defer s.Close()
		p := faultyPlan(s.URL)
		p.Goroutines, p.Quiet, p.Target = goroutines, 50*time.Millisecond, Target{URL: s.URL, Door: "sse", Token: "t", APIKey: "k"}
		r, err := Run(t.Context(), p, nil)
		if err != nil || r.Sent != 20 || r.Received != 18*faultyConnections || r.Repeated+r.Reordered != 0 || r.Refused != 2 {
			t.Errorf("%+v %v", r, err)
		}
		if trouble := strings.Join(r.Trouble, " "); !strings.Contains(trouble, "429 Too Many Requests no more") {
			t.Errorf("trouble: %s", trouble)
		}
		server.mu.Lock()
		defer server.mu.Unlock()
		if len(server.posted) != 18 || !strings.HasPrefix(server.posted[0], "/publish/bench-") {
			t.Errorf("posted to %v", server.posted)
		}
	})
}

// Everybody who polls gets every message once, whichever way.
func TestPollingGetsEveryMessageOnce(t *testing.T) {
	for name, every := range map[string]time.Duration{"at intervals": 20 * time.Millisecond, "long": 0} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var messages [][]byte
			more := make(chan struct{})
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				n, _ := strconv.Atoi(r.URL.Query().Get("after"))
				mu.Lock()
				have, wait := messages[min(n, len(messages)):], more
				mu.Unlock()
				if every == 0 && len(have) == 0 {
					select {
					case <-wait:
					case <-r.Context().Done():
						return
					}
					mu.Lock()
					have = messages[n:]
					mu.Unlock()
				}
				body := fmt.Sprintf("[%s]\n", bytes.Join(have, []byte(",")))
				w.Header().Set("Content-Length", strconv.Itoa(len(body)))
				fmt.Fprint(w, body)
			}))
			defer s.Close()
			p := faultyPlan(s.URL)
			p.Poll, p.Every = "/?after=", every
			l, err := NewLoad(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if err := l.Connect(); err != nil {
				t.Fatal(err)
			}
			err = l.Publish(func(_ string, payload []byte) error {
				mu.Lock()
				defer mu.Unlock()
				messages = append(messages, bytes.Clone(payload))
				close(more)
				more = make(chan struct{})
				return nil
			})
			r := l.Result()
			if err != nil || r.Received != 100 || r.Lost+r.Repeated+r.Reordered+r.Disconnected != 0 || r.Requests == 0 {
				t.Errorf("%+v %v", r, err)
			}
		})
	}
}

package bench

import (
	"context"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
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

// One message of a hundred deliveries is lost, one repeated, one late: that
// is what the result has to say, no more and no less.
func TestRunCountsWhatAServerDoesWrong(t *testing.T) {
	phases := make(map[string]bool)
	r, err := Run(t.Context(), faultyPlan(faultyServer(t)), func(p Progress) { phases[p.Phase] = true })
	if err != nil {
		t.Fatal(err)
	}
	checkFaulty(t, r)
	if r.Disconnected != 0 || len(phases) == 0 {
		t.Errorf("%+v, told of %v", r, phases)
	}
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
	ctx, cancel := context.WithCancel(t.Context())
	p := faultyPlan(faultyServer(t))
	p.Duration = time.Hour
	r, err := Run(ctx, p, func(p Progress) {
		if p.Sent > 0 {
			cancel()
		}
	})
	if err != context.Canceled || r.Sent == 0 || r.Joined != 5 {
		t.Errorf("%+v %v", r, err)
	}
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
	p := faultyPlan(s.URL)
	p.Settle = 100 * time.Millisecond
	r, err := Run(t.Context(), p, nil)
	if err != nil || r.Disconnected != 5 || len(r.Trouble) == 0 || !strings.Contains(strings.Join(r.Trouble, " "), "4001 too slow") {
		t.Errorf("%+v %v", r, err)
	}
}

func TestRunWithoutAServerIsAnError(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	if _, err := Run(t.Context(), faultyPlan(s.URL), nil); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("%v", err)
	}
	s.Close()
	if _, err := Run(t.Context(), faultyPlan(s.URL), nil); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("%v", err)
	}
}

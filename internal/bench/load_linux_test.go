package bench

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// Both drivers say the same of the same server.
func TestLoadCountsWhatAServerDoesWrong(t *testing.T) {
	p := faultyPlan(faultyServer(t))
	p.PID = os.Getpid()
	l, err := NewLoad(p)
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
	if r.Server == nil || r.Server.RSSIdle == 0 {
		t.Errorf("%+v", r.Server)
	}
	if l.Reactor().In == 0 || l.Reactor().Out == 0 {
		t.Error("no bytes were counted")
	}
}

// collector is a Handler that writes much at once.
type collector struct {
	out []byte
	err error
}

func (c *collector) Connected(s *Socket) error  { return s.Write(c.out) }
func (c *collector) Data(*Socket, []byte) error { return nil }
func (c *collector) Ended(_ *Socket, err error) { c.err = err }

// What the kernel does not take at once is sent later, in order.
func TestWritesBeyondTheKernelsBufferArriveWhole(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	sent := make([]byte, 32<<20)
	for i := range sent {
		sent[i] = byte(i / 1021)
	}
	got := make(chan []byte, 1)
	go func() {
		c, err := listener.Accept()
		if err != nil {
			got <- nil
			return
		}
		defer c.Close()
		all := make([]byte, len(sent))
		n, _ := io.ReadFull(c, all)
		got <- all[:n]
	}()
	r, err := NewReactor()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c := &collector{out: sent}
	if _, err := r.Dial(listener.Addr().(*net.TCPAddr).AddrPort(), 0, c); err != nil {
		t.Fatal(err)
	}
	if !r.Until(func() bool { return c.err != nil }, func() int64 { return r.Out }, 10*time.Second) {
		t.Fatalf("%d of %d bytes left", r.Out, len(sent))
	}
	if all := <-got; !bytes.Equal(all, sent) {
		t.Errorf("%d of %d bytes arrived, or others", len(all), len(sent))
	}
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

// A rest counts the pings that were answered, and is an error when not all
// connections are there at its end.
func TestRestAnswersPings(t *testing.T) {
	var answered atomic.Int64
	hangUp := make(chan struct{})
	l, err := NewLoad(Plan{Connections: 5, Size: 128, PID: os.Getpid(), Target: Target{URL: pinging(t, &answered, hangUp)}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Connect(); err != nil {
		t.Fatal(err)
	}
	pings := l.pings.Load() // some come while others connect
	for end := time.Now().Add(10 * time.Second); pings < 10 && time.Now().Before(end); {
		r, err := l.Rest(20 * time.Millisecond)
		if err != nil || r.Seconds < 0.02 || r.Cores < 0 {
			t.Fatalf("%+v %v", r, err)
		}
		pings += r.Pings
	}
	if all := l.Result().Pings; all != 10 || pings != 10 {
		t.Errorf("%d pings in all, %d as rests tell it; want 10", all, pings)
	}
	for end := time.Now().Add(10 * time.Second); answered.Load() < 10; l.Reactor().For(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d of 10 pings were answered", answered.Load())
		}
	}
	close(hangUp)
	for end := time.Now().Add(10 * time.Second); ; {
		if _, err := l.Rest(time.Millisecond); err != nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the server hung up, and a rest is content")
		}
	}
}

func TestLoadIsForThisMachineOnly(t *testing.T) {
	for _, url := range []string{"http://192.0.2.1:80", "http://[2001:db8::1]:80", "https://127.0.0.1:443"} {
		if l, err := NewLoad(faultyPlan(url)); err == nil {
			l.Close()
			t.Errorf("%s was taken", url)
		}
	}
}

func TestLoadSeesARefusal(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	l, err := NewLoad(faultyPlan(s.URL))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Connect(); err == nil {
		t.Error("connected to nothing")
	}
}

// Everybody who polls gets every message once, whichever way.
func TestPollingGetsEveryMessageOnce(t *testing.T) {
	for name, every := range map[string]time.Duration{"at intervals": 20 * time.Millisecond, "long": 0} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var room [][]byte
			more := make(chan struct{})
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				n, _ := strconv.Atoi(r.URL.Query().Get("after"))
				mu.Lock()
				have, wait := room[min(n, len(room)):], more
				mu.Unlock()
				if every == 0 && len(have) == 0 {
					select {
					case <-wait:
					case <-r.Context().Done():
						return
					}
					mu.Lock()
					have = room[n:]
					mu.Unlock()
				}
				body := fmt.Sprintf("[%s]", bytes.Join(have, []byte(",")))
				w.Header().Set("Content-Length", strconv.Itoa(len(body)))
				fmt.Fprint(w, body)
			}))
			defer s.Close()
			p, err := NewPolling(faultyPlan(s.URL), "/?after=", every)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			err = p.Publish(func(_ string, payload []byte) error {
				mu.Lock()
				defer mu.Unlock()
				room = append(room, payload)
				close(more)
				more = make(chan struct{})
				return nil
			})
			r := p.Result()
			if err != nil || r.Received != 100 || r.Lost+r.Repeated+r.Reordered+r.Disconnected != 0 || p.Requests == 0 {
				t.Errorf("%+v %v, %d requests", r, err, p.Requests)
			}
		})
	}
}

//go:build linux

package attack

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"magpie/test/kit"
	"magpie/test/kit/redistest"
)

// limitDescriptors sets the limit of open files of a running node to what it
// has open and some more.
func limitDescriptors(t *testing.T, n *kit.Node, more int) {
	t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", n.PID()))
	if err != nil {
		t.Fatal(err)
	}
	most := uint64(len(open) + more)
	if err := unix.Prlimit(n.PID(), unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: most, Max: most}, nil); err != nil {
		t.Fatal(err)
	}
}

// fillUp opens sockets until the node takes no more, and returns them.
func fillUp(t *testing.T, n *kit.Node, most int) (held []*kit.Socket) {
	t.Helper()
	for range most {
		s, res, err := n.TryDial("/websocket?channel=x")
		if err != nil {
			if res == nil || res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
				t.Errorf("the first connection too many: %v, %v", err, res)
			}
			return held
		}
		held = append(held, s)
	}
	t.Fatalf("%d connections, and still room", most)
	return nil
}

// refused dials until so many clients in a row were refused, each at once.
// Those that got a place which became free meanwhile are returned; there are few
// such places.
func refused(t *testing.T, n *kit.Node, times int) (letIn []*kit.Socket) {
	t.Helper()
	for row := 0; row < times; {
		began := time.Now()
		s, res, err := n.TryDial("/websocket?channel=x")
		if took := time.Since(began); took > kit.Patience/2 {
			t.Errorf("a client waited %s for its answer", took)
		}
		switch {
		case err == nil:
			letIn, row = append(letIn, s), 0
		case res != nil && res.StatusCode != http.StatusServiceUnavailable:
			t.Fatalf("refused with %v, %v", err, res)
		default:
			row++
		}
		if len(letIn) > 5 {
			t.Fatalf("%d clients were let in", len(letIn))
		}
	}
	return letIn
}

// watched fails unless health checks are answered at once, on new connections.
func watched(t *testing.T, n *kit.Node) {
	t.Helper()
	for range 5 {
		for _, path := range []string{"/livez", "/readyz", "/metrics"} {
			began := time.Now()
			res, err := n.Do("GET", path, "", "Connection: close")
			if status, body := kit.Read(res, err); status != http.StatusOK {
				t.Errorf("%s: %d %.200s", path, status, body)
			}
			if took := time.Since(began); took > kit.Patience/2 {
				t.Errorf("%s took %s", path, took)
			}
		}
	}
}

// A node whose descriptors are used up answers those who watch it, refuses new
// clients at once instead of leaving them to wait, serves those it has, and
// finds Redis again. Clients that leave make room.
func TestDescriptorsUsedUp(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	n := kit.Start(t, "--redis", r.URL)
	listener := n.Dial("channel=chat")
	limitDescriptors(t, n, 100)
	held := fillUp(t, n, 100)
	watched(t, n)
	held = append(held, refused(t, n, 20)...)
	if status, _ := n.Post("/publish/chat", "x", "Connection: close"); status != http.StatusServiceUnavailable {
		t.Errorf("publish: %d", status)
	}

	r.Do("CLIENT", "KILL", "TYPE", "pubsub")
	r.Do("CLIENT", "KILL", "TYPE", "normal")
	kit.Eventually(t, "messages arrive over new connections to Redis", func() bool {
		r.Do("PUBLISH", "chat", "again")
		return len(listener.All()) > 0
	})
	watched(t, n)

	if got := strings.Count(n.Output(), "file descriptors are used up"); got != 1 {
		t.Errorf("the log says so %d times", got)
	}
	if measure(t, n, "magpie_connections_refused_total") < 20 {
		t.Error("refused connections are not counted")
	}
	for _, s := range held {
		s.Close()
	}
	kit.Eventually(t, "there is room again", func() bool {
		s, _, err := n.TryDial("/websocket?channel=x")
		if err == nil {
			s.Close()
		}
		return err == nil
	})
}

// Connections that say nothing do not keep the reserve.
func TestDescriptorsUsedUpByTheSilent(t *testing.T) {
	t.Parallel()
	n := kit.Start(t)
	limitDescriptors(t, n, 60)
	fillUp(t, n, 60)
	var silent []net.Conn
	for range 60 {
		silent = append(silent, n.Connect())
	}
	kit.Eventually(t, "a health check is answered", func() bool {
		status, _ := n.Get("/livez", "Connection: close")
		return status == http.StatusOK
	})
	for _, c := range silent {
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Read(make([]byte, 512)); err != nil && os.IsTimeout(err) {
			t.Fatal("a silent connection is left waiting")
		}
	}
	watched(t, n)
}

// However many come, the descriptors that Redis needs are left.
func TestDescriptorsForRedis(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	n := kit.Start(t, "--redis", r.URL)
	listener := n.Dial("channel=chat")
	limitDescriptors(t, n, 60)
	stop := make(chan struct{})
	var flood sync.WaitGroup
	flood.Go(func() { keepConnecting(n.Addr, stop) })
	defer flood.Wait()
	defer close(stop)
	kit.Eventually(t, "descriptors are used up", func() bool { return strings.Contains(n.Output(), "are used up") })
	for range 3 {
		r.Do("CLIENT", "KILL", "TYPE", "pubsub")
		r.Do("CLIENT", "KILL", "TYPE", "normal")
		before := len(listener.All())
		kit.Eventually(t, "messages arrive over new connections to Redis", func() bool {
			r.Do("PUBLISH", "chat", "again")
			return len(listener.All()) > before
		})
	}
}

// keepConnecting opens connections that say nothing, 300 at a time.
func keepConnecting(addr string, stop <-chan struct{}) {
	open := make([]net.Conn, 300)
	for i := 0; ; i++ {
		select {
		case <-stop:
			for _, c := range open {
				if c != nil {
					c.Close()
				}
			}
			return
		default:
		}
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			continue
		}
		if old := open[i%len(open)]; old != nil {
			old.Close()
		}
		open[i%len(open)] = c
	}
}

// Where not even the reserve is left, as when the limit is lowered below what is
// in use, descriptors that are held for it are given up.
func TestLimitOfDescriptorsLowered(t *testing.T) {
	t.Parallel()
	n := kit.Start(t)
	for range 30 {
		n.Dial("channel=x")
	}
	limitDescriptors(t, n, -4)
	for range 3 {
		watched(t, n)
	}
	refused(t, n, 10)
	limitDescriptors(t, n, -4) // it has not leaked spares: the same again
	watched(t, n)
	if got := strings.Count(n.Output(), "file descriptors are used up"); got != 1 {
		t.Errorf("the log says so %d times", got)
	}
}

// Package attack sends the real binary what nobody well-meaning sends: broken
// protocols, floods, slow peers, names and payloads made to be taken for
// commands. Every test also looks at what an attack must not change: the
// process lives, others are served, memory and goroutines come back.
package attack

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	_ "magpie/internal/app" // so that a cached result is not one of another binary
)

var program string // built once, with the race detector

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "magpie-attack-")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "magpie")
	if out, err := exec.Command("go", "build", "-race", "-o", program, "magpie/cmd/magpie").CombinedOutput(); err != nil {
		fmt.Printf("go build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	if code == 0 {
		http.DefaultClient.CloseIdleConnections()
		if err := goleak.Find(); err != nil {
			fmt.Println(err)
			code = 1
		}
	}
	os.Exit(code)
}

// patience bounds every wait.
const patience = 30 * time.Second

// node is one running server.
type node struct {
	t    testing.TB
	addr string
	cmd  *exec.Cmd
	out  *output
	gone chan struct{}
	// expected says that the test has ended the process itself.
	expected bool
}

type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start runs a node on a free port and waits until it is ready.
func start(t testing.TB, args ...string) *node {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, addr: l.Addr().String(), out: &output{}, gone: make(chan struct{})}
	l.Close()
	n.cmd = exec.Command(program, append([]string{"serve", "--addr", n.addr, "--log-format", "json"}, args...)...)
	n.cmd.Env = append(os.Environ(), "GORACE=halt_on_error=1 exitcode=66")
	n.cmd.Stdout, n.cmd.Stderr = n.out, n.out
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = n.cmd.Wait()
		close(n.gone)
	}()
	t.Cleanup(n.end)
	eventually(t, "the node is ready", func() bool { status, _ := n.get("/readyz"); return status == http.StatusOK })
	return n
}

// end kills the node and fails the test when the attack showed in its log as
// a race or a panic, or ended it.
func (n *node) end() {
	select {
	case <-n.gone:
		if n.expected {
			break
		}
		n.t.Errorf("the node has ended:\n%s", tail(n.out.String()))
	default:
	}
	_ = n.cmd.Process.Signal(syscall.SIGKILL)
	<-n.gone
	text := n.out.String()
	if strings.Contains(text, "DATA RACE") || strings.Contains(text, "panic") {
		n.t.Errorf("the node's log:\n%s", text)
	} else if n.t.Failed() {
		n.t.Logf("the node's log:\n%s", tail(text))
	}
}

func tail(s string) string {
	lines := strings.Split(s, "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}

func (n *node) url(path string) string { return "http://" + n.addr + path }

func (n *node) get(path string) (int, string) {
	res, err := http.Get(n.url(path))
	if err != nil {
		return 0, err.Error()
	}
	return read(res)
}

func read(res *http.Response) (int, string) {
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return res.StatusCode, err.Error()
	}
	return res.StatusCode, string(b)
}

// post sends a body with headers given as "Name: value".
func (n *node) post(path, body string, headers ...string) (int, string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", n.url(path), strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	return read(res)
}

func (n *node) publish(channel, payload string) {
	n.t.Helper()
	if status, body := n.post("/publish/"+channel, payload); status != http.StatusOK {
		n.t.Fatalf("publish to %s: %d %s", channel, status, body)
	}
}

// measure reads one number of /metrics; the name includes its labels.
func (n *node) measure(name string) float64 {
	n.t.Helper()
	_, text := n.get("/metrics")
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				n.t.Fatal(err)
			}
			return v
		}
	}
	n.t.Fatalf("no measure %s", name)
	return 0
}

// resident is the process's memory in bytes.
func (n *node) resident() int {
	n.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", n.cmd.Process.Pid))
	if err != nil {
		n.t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	if err != nil {
		n.t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// connect opens a TCP connection that the test closes.
func (n *node) connect() net.Conn {
	n.t.Helper()
	c, err := net.Dial("tcp", n.addr)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { c.Close() })
	return c
}

// say sends bytes as they are and returns the status of the first answer; 0
// when the connection ends without one.
func (n *node) say(text string) int {
	n.t.Helper()
	c := n.connect()
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	go io.WriteString(c, text) // the server may stop reading before the end
	return status(bufio.NewReader(c))
}

func status(r *bufio.Reader) int {
	for {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return 0
		}
		if res.StatusCode != http.StatusContinue {
			return res.StatusCode
		}
	}
}

// listener is a raw client that keeps what it gets.
type listener struct {
	t      testing.TB
	conn   *websocket.Conn
	cancel context.CancelFunc
	ended  chan struct{}

	mu     sync.Mutex
	frames []string
	err    error
}

func (n *node) listen(query string) *listener {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	conn, res, err := websocket.Dial(ctx, "ws://"+n.addr+"/websocket?"+query, nil)
	if err != nil {
		cancel()
		n.t.Fatalf("dial ?%s: %v %v", query, err, res)
	}
	conn.SetReadLimit(64 << 20)
	l := &listener{t: n.t, conn: conn, cancel: cancel, ended: make(chan struct{})}
	go l.run(ctx)
	n.t.Cleanup(l.close)
	return l
}

func (l *listener) run(ctx context.Context) {
	defer close(l.ended)
	for {
		_, b, err := l.conn.Read(ctx)
		l.mu.Lock()
		if err != nil {
			l.err = err
			l.mu.Unlock()
			return
		}
		l.frames = append(l.frames, string(b))
		l.mu.Unlock()
	}
}

func (l *listener) close() {
	l.cancel()
	<-l.ended
	_ = l.conn.CloseNow()
}

func (l *listener) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.frames...)
}

// hears waits for a frame that holds text.
func (l *listener) hears(text string) {
	l.t.Helper()
	eventually(l.t, fmt.Sprintf("a frame with %.60q", text), func() bool {
		for _, f := range l.all() {
			if strings.Contains(f, text) {
				return true
			}
		}
		return false
	})
}

// handshake is a WebSocket upgrade of a path; more are further header lines.
func (n *node) handshake(path string, more ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: " + n.addr + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + strings.Join(append(more, ""), "\r\n") + "\r\n"
}

// eventually polls until ok holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		<-tick.C
	}
}

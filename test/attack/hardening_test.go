//go:build hardening

package attack

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"magpie/test/kit"
	"magpie/test/kit/redistest"
)

// An attack goes on until its context ends. It runs in a process of its own,
// which is nicer to others than the server and its ordinary clients are: what is
// measured is what the server does with an attack, not what an attacker computes
// on the same machine.
type attack struct {
	name string
	run  func(ctx context.Context, addr string)
}

var attacks = []attack{
	{"9,000 half-open handshakes", many(9000, halfOpen)},
	{"1,000 readers that do not read", func(ctx context.Context, addr string) {
		go many(1000, slowReader)(ctx, addr)
		feed(ctx, addr)
	}},
	{"four flooders", many(4, flooder)},
	{"20 that subscribe to new names", many(20, subscriber)},
	{"20 that ask for presence", many(20, asker(`{"id":%d,"presence":{"channel":"crowd"}}`))},
	{"20 that ask for history", many(20, asker(`{"id":%d,"history":{"channel":"big","limit":-1}}`))},
}

// TestHardening measures what ordinary clients notice of each attack and of all
// at once. It prints the table of docs/security.md.
func TestHardening(t *testing.T) {
	if i, err := strconv.Atoi(os.Getenv("ATTACK")); err == nil {
		attackUntilTold(attacks[i], os.Getenv("ATTACK_ADDR"))
		return
	}
	redis := redistest.Start(t, "--maxmemory", "256mb")
	n := kit.StartAsShipped(t, "--redis", redis.URL, "--trusted-proxies", "127.0.0.1")
	prepare(t, n)
	o := startOrdinary(t, n)
	row := func(name string, took time.Duration, which ...int) {
		o.reset()
		before, grown := resident(t, n), watch(t, n)
		stop := launchAttackers(t, n.Addr, which)
		time.Sleep(took)
		p50, p99, count := o.quantiles()
		stop()
		peak := before>>20 + grown()
		fmt.Printf("| %s | %d | %d | %.2f | %.2f | %d | %s |\n", name, count, o.refused.Load(), p50, p99, peak, redisMemory(redis))
	}
	fmt.Println("| | messages | refused | p50 in ms | p99 in ms | most memory in MB | Redis in MB |\n|---|--:|--:|--:|--:|--:|--:|")
	row("nothing", 15*time.Second)
	var all []int
	for i, a := range attacks {
		row(a.name, 15*time.Second, i)
		all = append(all, i)
	}
	row("all at once", 20*time.Second, all...)
	time.Sleep(5 * time.Second)
	row("nothing, after it", 15*time.Second)
	fmt.Printf("resident at the end: %d MB\n", resident(t, n)>>20)
}

func redisMemory(s *redistest.Server) string {
	for line := range strings.Lines(s.Do("INFO", "memory")) {
		if v, ok := strings.CutPrefix(line, "used_memory:"); ok {
			b, _ := strconv.Atoi(strings.TrimSpace(v))
			return strconv.Itoa(b >> 20)
		}
	}
	return "?"
}

// prepare makes a room of 200 and a log of 1,000 messages of 10 KB.
func prepare(t *testing.T, n *kit.Node) {
	for range 200 {
		n.Centrifuge("").Send(`{"id":2,"subscribe":{"channel":"crowd"}}`)
	}
	for range 1000 {
		n.Publish("big", strings.Repeat("\x01", 10<<10))
	}
}

// ordinary are 100 clients in ten channels that hear 100 messages a second, each
// in one channel.
type ordinary struct {
	refused atomic.Int64 // publications

	mu    sync.Mutex
	delay []time.Duration
}

func (o *ordinary) reset() {
	o.refused.Store(0)
	o.mu.Lock()
	o.delay = nil
	o.mu.Unlock()
}

func (o *ordinary) quantiles() (p50, p99 float64, count int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	slices.Sort(o.delay)
	at := func(q float64) float64 {
		if len(o.delay) == 0 {
			return -1
		}
		return float64(o.delay[int(q*float64(len(o.delay)-1))].Microseconds()) / 1000
	}
	return at(.5), at(.99), len(o.delay)
}

func startOrdinary(t *testing.T, n *kit.Node) *ordinary {
	o := new(ordinary)
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	t.Cleanup(func() { cancel(); done.Wait() })
	for i := range 100 {
		conn, _, err := websocket.Dial(ctx, fmt.Sprintf("ws://%s/websocket?channel=ordinary-%d", n.Addr, i%10), nil)
		if err != nil {
			t.Fatal(err)
		}
		done.Go(func() {
			defer conn.CloseNow()
			for {
				_, b, err := conn.Read(ctx)
				if err != nil {
					if ctx.Err() == nil {
						t.Errorf("an ordinary client lost its connection: %v", err)
					}
					return
				}
				sent, _ := strconv.ParseInt(string(b), 10, 64)
				late := time.Since(time.Unix(0, sent))
				o.mu.Lock()
				o.delay = append(o.delay, late)
				o.mu.Unlock()
			}
		})
	}
	done.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ctx.Err() == nil; i++ {
			<-tick.C
			if status, _ := n.Post(fmt.Sprintf("/publish/ordinary-%d", i%10), strconv.FormatInt(time.Now().UnixNano(), 10)); status != 200 {
				o.refused.Add(1)
			}
		}
	})
	return o
}

// launchAttackers starts a process for each attack; stop ends them.
func launchAttackers(t *testing.T, addr string, which []int) (stop func()) {
	var started []*exec.Cmd
	for _, i := range which {
		cmd := exec.Command("nice", "-n", "10", os.Args[0], "-test.run", "^TestHardening$")
		cmd.Env = append(os.Environ(), fmt.Sprintf("ATTACK=%d", i), "ATTACK_ADDR="+addr)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		started = append(started, cmd)
	}
	return func() {
		for _, cmd := range started {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
}

func attackUntilTold(a attack, addr string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	a.run(ctx, addr)
}

// many has count of one attacker, each of which begins again when the server has
// ended it.
func many(count int, one func(ctx context.Context, addr string, i int)) func(context.Context, string) {
	return func(ctx context.Context, addr string) {
		var all sync.WaitGroup
		for i := range count {
			all.Go(func() {
				for ctx.Err() == nil {
					one(ctx, addr, i)
					select {
					case <-ctx.Done():
					case <-time.After(10 * time.Millisecond):
					}
				}
			})
		}
		all.Wait()
	}
}

// strangers is the address that all attackers have, by the word of a proxy.
const strangers = "203.0.113.7"

func dial(ctx context.Context, addr string) net.Conn {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil
	}
	context.AfterFunc(ctx, func() { c.Close() })
	return c
}

func halfOpen(ctx context.Context, addr string, _ int) {
	if c := dial(ctx, addr); c != nil {
		defer c.Close()
		io.WriteString(c, "GET /websocket?channel=a HTTP/1.1\r\nHost: "+addr+"\r\nUpgrade: websocket\r\nX-Half: ")
		_, _ = io.Copy(io.Discard, c)
	}
}

func upgraded(ctx context.Context, addr, path string) (net.Conn, *bufio.Reader) {
	c := dial(ctx, addr)
	if c == nil {
		return nil, nil
	}
	_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
	io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: "+addr+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Forwarded-For: "+strangers+"\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	r := bufio.NewReaderSize(c, 64)
	for {
		line, err := r.ReadString('\n')
		if err != nil || strings.HasPrefix(line, "HTTP/1.1 ") && !strings.Contains(line, "101") {
			c.Close()
			return nil, nil
		}
		if line == "\r\n" {
			return c, r
		}
	}
}

func frame(text string) []byte {
	b := []byte{0x81, 0xfe, byte(len(text) >> 8), byte(len(text)), 0, 0, 0, 0}
	return append(b, text...)
}

// slowReader opens a channel that is never silent and reads nothing.
func slowReader(ctx context.Context, addr string, _ int) {
	if c, _ := upgraded(ctx, addr, "/websocket?channel=loud"); c != nil {
		defer c.Close()
		for ctx.Err() == nil { // until the server ends it: writing fails then
			if _, err := c.Write(append([]byte{0x8a, 0x80}, 0, 0, 0, 0)); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	}
}

// feed publishes 100 messages of 10 KB a second to the slow readers.
func feed(ctx context.Context, addr string) {
	c, r := upgraded(ctx, addr, "/websocket?channel=loud")
	if c == nil {
		return
	}
	defer c.Close()
	go func() { _, _ = io.Copy(io.Discard, r) }()
	for ctx.Err() == nil {
		if _, err := c.Write(frame(strings.Repeat("x", 10_000))); err != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// flooder publishes as fast as the connection takes it.
func flooder(ctx context.Context, addr string, i int) {
	c, r := upgraded(ctx, addr, fmt.Sprintf("/websocket?channel=flood-%d", i))
	if c == nil {
		return
	}
	defer c.Close()
	go func() { _, _ = io.Copy(io.Discard, r) }()
	burst := slices.Repeat(frame(strings.Repeat("f", 300)), 100)
	for {
		if _, err := c.Write(burst); err != nil {
			return
		}
	}
}

func centrifuge(ctx context.Context, addr string) (net.Conn, *bufio.Reader) {
	c, r := upgraded(ctx, addr, "/connection/websocket")
	if c != nil {
		_, _ = c.Write(frame(`{"id":1,"connect":{}}` + strings.Repeat(" ", 200)))
	}
	return c, r
}

// subscriber subscribes to names that nobody used before, and leaves them.
func subscriber(ctx context.Context, addr string, i int) {
	c, r := centrifuge(ctx, addr)
	if c == nil {
		return
	}
	defer c.Close()
	go func() { _, _ = io.Copy(io.Discard, r) }()
	for id := 2; ; id += 2 {
		name := fmt.Sprintf("new-%d-%d", i, time.Now().UnixNano())
		text := fmt.Sprintf(`{"id":%d,"subscribe":{"channel":%q}}`+"\n"+`{"id":%d,"unsubscribe":{"channel":%q}}`, id, name, id+1, name)
		if _, err := c.Write(frame(text + strings.Repeat(" ", 200))); err != nil {
			return
		}
	}
}

// asker asks as fast as the connection takes it and reads 4 KB in 100 ms.
func asker(question string) func(context.Context, string, int) {
	return func(ctx context.Context, addr string, _ int) {
		c, r := centrifuge(ctx, addr)
		if c == nil {
			return
		}
		defer c.Close()
		go func() {
			for part := make([]byte, 4<<10); ; time.Sleep(100 * time.Millisecond) {
				if _, err := r.Read(part); err != nil {
					return
				}
			}
		}()
		for id := 2; ; id++ {
			if _, err := c.Write(frame(fmt.Sprintf(question, id) + strings.Repeat(" ", 200))); err != nil {
				return
			}
		}
	}
}

package redis

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"magpie/test/kit/redistest"
)

// proxy stands between an engine and its Redis and keeps answers back, for
// faults that no command of Redis can make: one connection silent while the
// others work, an answer lost after the work was done.
type proxy struct {
	url    string
	listen net.Listener
	wg     sync.WaitGroup

	mu     sync.Mutex
	server string // where new connections lead to
	open   map[*proxied]struct{}
	muted  map[bool]bool  // by kind of connection
	until  []byte         // subscribers are muted from this text on
	drop   bool           // subscribers get answers, pongs, too, and no messages
	seen   map[string]int // how often a text that count named went to Redis
	freed  *sync.Cond
	ended  bool
}

// proxied is one connection through the proxy.
type proxied struct {
	client, server net.Conn
	subscriber     atomic.Bool // a SUBSCRIBE went through
}

func startProxy(t *testing.T, server *redistest.Server) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{url: "redis://" + l.Addr().String(), server: server.Addr, listen: l, open: map[*proxied]struct{}{}, muted: map[bool]bool{}}
	p.freed = sync.NewCond(&p.mu)
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) close() {
	p.listen.Close()
	p.mu.Lock()
	p.ended = true
	for c := range p.open {
		c.client.Close()
		c.server.Close()
	}
	p.freed.Broadcast()
	p.mu.Unlock()
	p.wg.Wait()
}

// leadTo leads new connections to another server.
func (p *proxy) leadTo(server *redistest.Server) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = server.Addr
}

func (p *proxy) accept() {
	for {
		client, err := p.listen.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		addr := p.server
		p.mu.Unlock()
		server, err := net.Dial("tcp", addr)
		if err != nil {
			client.Close()
			continue
		}
		c := &proxied{client: client, server: server}
		p.mu.Lock()
		p.open[c] = struct{}{}
		p.mu.Unlock()
		p.wg.Go(func() { p.up(c) })
		p.wg.Go(func() { p.down(c) })
	}
}

func (p *proxy) end(c *proxied) {
	c.client.Close()
	c.server.Close()
	p.mu.Lock()
	delete(p.open, c)
	p.freed.Broadcast()
	p.mu.Unlock()
}

// subscribing is a command SUBSCRIBE, and not one that asks about it.
var subscribing = regexp.MustCompile(`\*\d+\r\n\$9\r\nSUBSCRIBE\r\n`)

func (p *proxy) up(c *proxied) {
	defer p.end(c)
	buf := make([]byte, 1<<16)
	for {
		n, err := c.client.Read(buf)
		if subscribing.Match(buf[:n]) {
			c.subscriber.Store(true)
		}
		p.note(buf[:n])
		if _, werr := c.server.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

// count begins to count how often these texts go to Redis.
func (p *proxy) count(texts ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = map[string]int{}
	for _, text := range texts {
		p.seen[text] = 0
	}
}

func (p *proxy) note(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for text := range p.seen {
		p.seen[text] += bytes.Count(b, []byte(text))
	}
}

func (p *proxy) counted(text string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[text]
}

func (p *proxy) down(c *proxied) {
	defer p.end(c)
	replies := bufio.NewReaderSize(c.server, 1<<16)
	for {
		reply, err := readRaw(replies, nil)
		if err != nil {
			return
		}
		p.watch(c, reply)
		if !p.pass(c) {
			return
		}
		if c.subscriber.Load() && p.drops(reply) {
			continue
		}
		if _, err := c.client.Write(reply); err != nil {
			return
		}
	}
}

// readRaw reads one reply as it is and appends it to b.
func readRaw(r *bufio.Reader, b []byte) ([]byte, error) {
	line, err := r.ReadBytes('\n')
	if err != nil || len(line) < 3 {
		return nil, fmt.Errorf("reply %q: %w", line, err)
	}
	b = append(b, line...)
	n, _ := strconv.Atoi(string(line[1 : len(line)-2]))
	switch line[0] {
	case '$', '=', '!': // a string
		if n < 0 {
			return b, nil
		}
		text := make([]byte, n+2)
		_, err := io.ReadFull(r, text)
		return append(b, text...), err
	case '%': // a map
		n *= 2
	case '*', '~', '>':
	default:
		return b, nil
	}
	for range n {
		if b, err = readRaw(r, b); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (p *proxy) drops(reply []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.drop && bytes.HasPrefix(reply, []byte(">3\r\n$7\r\nmessage\r\n"))
}

// dropMessages drops messages to subscribers from now on, or no more, and
// nothing else.
func (p *proxy) dropMessages(drop bool) {
	p.mu.Lock()
	p.drop = drop
	p.mu.Unlock()
}

// watch mutes subscribers when the text that muteAt named is on its way.
func (p *proxy) watch(c *proxied, b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.subscriber.Load() && p.until != nil && bytes.Contains(b, p.until) {
		p.until, p.muted[true] = nil, true
	}
}

// muteAt mutes subscribers from the next piece that holds text.
func (p *proxy) muteAt(text string) {
	p.mu.Lock()
	p.until = []byte(text)
	p.mu.Unlock()
}

// pass waits while the connection's kind is muted; false says it was cut.
func (p *proxy) pass(c *proxied) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.muted[c.subscriber.Load()] {
		if _, open := p.open[c]; !open || p.ended {
			return false
		}
		p.freed.Wait()
	}
	_, open := p.open[c]
	return open
}

// mute keeps back what Redis sends to subscriber connections, or to the others.
func (p *proxy) mute(subscribers bool) {
	p.mu.Lock()
	p.muted[subscribers] = true
	p.mu.Unlock()
}

func (p *proxy) unmute(subscribers bool) {
	p.mu.Lock()
	p.muted[subscribers] = false
	p.freed.Broadcast()
	p.mu.Unlock()
}

// cut ends the connections of a kind; what was kept back is lost. New ones of
// the kind are not muted.
func (p *proxy) cut(subscribers bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		if c.subscriber.Load() == subscribers {
			delete(p.open, c)
			c.client.Close()
			c.server.Close()
		}
	}
	p.muted[subscribers] = false
	p.freed.Broadcast()
}

func (p *proxy) use(c *Config) { c.URL = p.url }

// appends is how many messages a channel's log has.
func appends(server *redistest.Server, ch string) string {
	return server.Do("XLEN", "magpie:{"+ch+"}:log")
}

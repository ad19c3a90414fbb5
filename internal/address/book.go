package address

import (
	"fmt"
	"hash/maphash"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"magpie/internal/fault"
	"magpie/internal/limit"
	"magpie/internal/metrics"
)

// Limits bound what comes from one address, and what comes in all. 0 sets no bound.
type Limits struct {
	Handshakes    int // connections, streams and guests that one address may begin in a second
	AllHandshakes int // and all addresses together
	Sessions      int // that one address may have
	Guesses       int // keys and tokens that are none, of one address in a minute
}

// burstSeconds is for how many seconds' worth may come at once after a rest:
// everybody in an office comes back when a node stops.
const burstSeconds = 10

// allBurstSeconds is that for all addresses together.
const allBurstSeconds = 5

// Metrics counts what was refused.
type Metrics struct {
	Handshakes    metrics.Counter // over Limits.Handshakes
	AllHandshakes metrics.Counter // over Limits.AllHandshakes
	Sessions      metrics.Counter // over Limits.Sessions
	Guessed       metrics.Counter // keys and tokens that are none
	Guesses       metrics.Counter // those over Limits.Guesses
}

// Book has the addresses that came lately, or have sessions. Their number is
// bounded; those that come when it is full are taken for one. A nil Book bounds
// nothing. All methods are safe for concurrent use.
type Book struct {
	Metrics Metrics

	// set by NewBook
	proxies            Proxies
	limits             Limits
	each, all, guesses limit.Rate
	log                *slog.Logger
	seed               maphash.Seed
	rest               *Client // whoever comes when the book is full
	arrived            limit.Bucket
	told               [kinds]atomic.Int64 // when the log was last told, since Unix's epoch
	shards             [shards]shard
	mostEach           int // tests have a smaller one
}

const (
	shards = 16
	// mostEach addresses are kept in a shard: 65,536 in all, in some 10 MB.
	mostEach = 4096
	// sweepEvery is how often a full shard is looked through.
	sweepEvery = time.Second
	// restFor is how long an address has been at rest before it is forgotten.
	restFor = 10 * time.Second
)

type shard struct {
	mu      sync.Mutex // guards what follows; memory only
	clients map[netip.Addr]*Client
	swept   time.Time
}

// NewBook returns an empty book. log hears of addresses that are refused.
func NewBook(p Proxies, l Limits, log *slog.Logger) *Book {
	b := &Book{proxies: p, limits: l, log: log, seed: maphash.MakeSeed()}
	b.each = perSecond(l.Handshakes, burstSeconds)
	b.all = perSecond(l.AllHandshakes, allBurstSeconds)
	if l.Guesses > 0 {
		b.guesses = limit.Rate{Every: time.Minute / time.Duration(l.Guesses), Burst: l.Guesses}
	}
	b.rest = &Client{book: b}
	b.mostEach = mostEach
	for i := range b.shards {
		b.shards[i].clients = map[netip.Addr]*Client{}
	}
	return b
}

// Proxies are those whose word is taken.
func (b *Book) Proxies() Proxies { return b.proxies }

func perSecond(n, seconds int) limit.Rate {
	if n == 0 {
		return limit.Rate{}
	}
	return limit.Rate{Every: time.Second / time.Duration(n), Burst: n * seconds}
}

// Client is one address as the limits see it: all that share an IPv6 network of
// 64 bits are one, as each of them may take any address there. A nil Client is
// bounded by nothing.
type Client struct {
	book       *Book
	addr       netip.Addr
	near       bool // see isNear
	handshakes limit.Bucket
	guesses    limit.Bucket
	requests   limit.Shared
	sessions   atomic.Int64
}

// Requests is what the address has taken of the rate that the gate allows to all
// sessions of nobody there; nil where they are not counted.
func (c *Client) Requests() *limit.Shared {
	if c == nil || c.near {
		return nil
	}
	return &c.requests
}

// isNear tells whether an address is this machine's or a private network's. There
// may be a proxy that is not among the Proxies and speaks for everybody: the
// limits of one address do not hold there.
func isNear(a netip.Addr) bool {
	return !a.IsValid() || a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || sharedSpace.Contains(a)
}

// sharedSpace is for carriers and clouds (RFC 6598).
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// Client returns the address that a request comes from.
func (b *Book) Client(r *http.Request) *Client {
	if b == nil {
		return nil
	}
	a := b.proxies.Of(r)
	near := isNear(a)
	if a.Is6() {
		network, _ := a.Prefix(64) // fails for no IPv6 address
		a = network.Addr()
	}
	s := &b.shards[maphash.Comparable(b.seed, a)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.clients[a]; c != nil {
		return c
	}
	if len(s.clients) >= b.mostEach && !s.sweepLocked(time.Now()) {
		return b.rest
	}
	c := &Client{book: b, addr: a, near: near}
	s.clients[a] = c
	return c
}

// sweepLocked forgets those that are at rest, and tells whether there is room now.
func (s *shard) sweepLocked(now time.Time) bool {
	if now.Sub(s.swept) < sweepEvery {
		return false
	}
	s.swept = now
	before := len(s.clients)
	for a, c := range s.clients {
		if c.sessions.Load() == 0 && c.handshakes.Rested(now.Add(-restFor)) && c.guesses.Rested(now) && c.requests.Rested(now) {
			delete(s.clients, a)
		}
	}
	return len(s.clients) < before
}

// Arrive counts a connection, a stream or a guest that a request begins, and returns where
// it comes from. It fails with a *fault.Fault when too many begin.
func (b *Book) Arrive(r *http.Request) (*Client, error) {
	if b == nil {
		return nil, nil
	}
	c, now := b.Client(r), time.Now()
	if wait := c.takeHandshake(now); wait > 0 {
		b.Metrics.Handshakes.Add(1)
		b.tell(handshakes, c, now)
		return c, tooMany("max_address_handshakes", wait,
			"%d connections in a second are the most that one address may begin here; wait, then connect again (setting max_address_handshakes)", b.limits.Handshakes)
	}
	if b.all.Take(&b.arrived, now) > 0 {
		b.Metrics.AllHandshakes.Add(1)
		b.tell(allHandshakes, c, now)
		// Who comes back at once would meet the same crowd.
		return c, &fault.Fault{Kind: fault.Unavailable, Setting: "max_handshakes", Wait: time.Second + rand.N(4*time.Second),
			Message: "More clients connect than this server takes at once; wait, then connect again (setting max_handshakes)."}
	}
	return c, nil
}

func (c *Client) takeHandshake(now time.Time) (wait time.Duration) {
	if c.near {
		return 0
	}
	return c.book.each.Take(&c.handshakes, now)
}

// Guessed counts a key or a token that is none, and returns why it is refused: err,
// or that its address has shown too many. Other errors it returns as they are. A
// key or a token that is good is not held back by this: who guesses learns nothing
// by that, as they are too long to be guessed, and those who share an address with
// him go on.
func (b *Book) Guessed(c *Client, err error) error {
	kind := fault.KindOf(err)
	if b == nil || c == nil || kind != fault.BadToken && kind != fault.BadKey {
		return err
	}
	b.Metrics.Guessed.Add(1)
	now := time.Now()
	wait := b.guesses.Take(&c.guesses, now)
	if wait == 0 {
		return err
	}
	b.Metrics.Guesses.Add(1)
	b.tell(guesses, c, now)
	return tooMany("max_guesses", wait,
		"%d wrong keys and tokens in a minute are the most from one address here; look at what you send, and wait (setting max_guesses)", b.limits.Guesses)
}

// Enter counts a session. It fails with a *fault.Fault when its address has as many
// as it may.
func (c *Client) Enter() error {
	if c == nil {
		return nil
	}
	most := c.book.limits.Sessions
	if n := c.sessions.Add(1); most == 0 || c.near || n <= int64(most) {
		return nil
	}
	c.sessions.Add(-1)
	c.book.Metrics.Sessions.Add(1)
	c.book.tell(sessions, c, time.Now())
	return tooMany("max_address_sessions", 10*time.Second,
		"%d connections are the most for one address on a node; close others, then connect again (setting max_address_sessions)", most)
}

// Leave ends a session that entered.
func (c *Client) Leave() {
	if c != nil {
		c.sessions.Add(-1)
	}
}

func tooMany(setting string, wait time.Duration, format string, args ...any) error {
	return &fault.Fault{Kind: fault.TooMany, Setting: setting, Wait: wait, Message: fmt.Sprintf(format, args...)}
}

// What the log is told of.
const (
	handshakes = iota
	allHandshakes
	guesses
	sessions
	kinds
)

var settings = [kinds]string{"max_address_handshakes", "max_handshakes", "max_guesses", "max_address_sessions"}

// tellEvery is how often the log hears of one kind of refusal.
const tellEvery = time.Minute

// tell names an address that is refused. Who wants the log to be full does not get
// a line for each.
func (b *Book) tell(kind int, c *Client, now time.Time) {
	last := b.told[kind].Load()
	if now.UnixNano()-last < int64(tellEvery) || !b.told[kind].CompareAndSwap(last, now.UnixNano()) {
		return
	}
	b.log.Warn("a limit on addresses is reached; the metrics count how often, the log hears of it once in a minute", "setting", settings[kind], "address", c.String())
}

// String is the address, or the network, and "many" for those that the book has no
// room for.
func (c *Client) String() string {
	switch {
	case c == c.book.rest:
		return "many"
	case c.addr.Is6():
		return netip.PrefixFrom(c.addr, 64).String()
	}
	return c.addr.String()
}

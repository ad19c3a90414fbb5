package topology

import (
	"context"
	"crypto/tls"
	"maps"
	"net"
	"slices"
	"sync"
)

// dialer makes connections and knows those that are open.
type dialer struct {
	connect dialFunc

	mu   sync.Mutex // guards what follows; memory only
	open map[*dialed]struct{}
}

// dialFunc is a rueidis.ClientOption.DialCtxFn.
type dialFunc = func(ctx context.Context, addr string, by *net.Dialer, secure *tls.Config) (net.Conn, error)

// newDialer connects with f; nil: over TCP.
func newDialer(f dialFunc) *dialer {
	if f == nil {
		f = dialTCP
	}
	return &dialer{connect: f, open: map[*dialed]struct{}{}}
}

// dialed is a connection of a dialer's.
type dialed struct {
	net.Conn
	by *dialer
}

// Close implements net.Conn.
func (c *dialed) Close() error {
	c.by.mu.Lock()
	delete(c.by.open, c)
	c.by.mu.Unlock()
	return c.Conn.Close()
}

// dial is a dialFunc. A name is looked up each time.
func (d *dialer) dial(ctx context.Context, addr string, by *net.Dialer, secure *tls.Config) (net.Conn, error) {
	conn, err := d.connect(ctx, addr, by, secure)
	if err != nil {
		return nil, err
	}
	c := &dialed{conn, d}
	d.mu.Lock()
	d.open[c] = struct{}{}
	d.mu.Unlock()
	return c, nil
}

// dialTCP is what a dialer connects with when it is given nothing else.
func dialTCP(ctx context.Context, addr string, by *net.Dialer, secure *tls.Config) (net.Conn, error) {
	if secure == nil {
		return by.DialContext(ctx, "tcp", addr)
	}
	return (&tls.Dialer{NetDialer: by, Config: secure}).DialContext(ctx, "tcp", addr)
}

func dialUnix(ctx context.Context, path string, by *net.Dialer, _ *tls.Config) (net.Conn, error) {
	return by.DialContext(ctx, "unix", path)
}

// closeAll closes what is open now.
func (d *dialer) closeAll() {
	d.mu.Lock()
	open := slices.Collect(maps.Keys(d.open))
	d.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
}

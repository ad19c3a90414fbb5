package ws

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

const canPoll = true

// poller watches the sockets of a shard with an epoll instance of its own: one
// goroutine and one buffer for all of them.
//
// The epoll descriptor is itself waited on through Go's netpoller, so that no
// thread sits in epoll_wait and a wake-up costs what it costs any goroutine:
// an echo took 5.6 µs with 100 clients, and 9 µs with threads of their own.
//
// Sockets are watched level-triggered: one read per event keeps connections
// fair without draining each to EAGAIN, and nothing has to be re-armed, which
// with one-shot events would cost a second system call per read. A connection
// that must wait is taken out of the set; an empty event mask would not do, as
// a hang-up is reported regardless and would spin.
type poller struct {
	home *shard
	file *os.File
	rc   syscall.RawConn

	// owned by the poller's goroutine; the closures are made once
	events [128]syscall.EpollEvent
	ready  int
	await  func(fd uintptr) bool
	buf    []byte
	got    int
	read   func(fd uintptr) bool
	err    error
}

func (p *poller) start(home *shard) error {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("create epoll: %w", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return fmt.Errorf("make epoll non-blocking: %w", err)
	}
	p.home = home
	p.file = os.NewFile(uintptr(fd), "epoll")
	if p.rc, err = p.file.SyscallConn(); err != nil {
		p.file.Close()
		return err
	}
	p.buf = make([]byte, readBuffer)
	p.await, p.read = p.fetch, p.readInto
	home.srv.pollers.Add(1)
	go p.run()
	return nil
}

// close ends run. The caller waits for it through Server.pollers.
func (p *poller) close() {
	if p.file != nil {
		p.file.Close()
	}
}

func (p *poller) run() {
	defer p.home.srv.pollers.Done()
	for {
		if err := p.rc.Read(p.await); err != nil {
			if !p.home.srv.closing() { // a closed file's error is its own, and not exported
				p.home.srv.cfg.Log.Error("websocket poller stopped", "error", err)
			}
			return
		}
		if p.err != nil {
			p.home.srv.cfg.Log.Error("websocket poller stopped", "error", p.err)
			return
		}
		for _, ev := range p.events[:p.ready] {
			if c := p.home.find(ev.Fd, ev.Pad); c != nil {
				p.serve(c)
			}
		}
	}
}

// fetch takes the events that are there; false asks the netpoller to wait.
func (p *poller) fetch(fd uintptr) bool {
	n, err := epollNow(fd, p.events[:])
	if err == syscall.EINTR {
		n, err = 0, nil
	}
	p.ready, p.err = n, err
	return n != 0 || err != nil
}

func (p *poller) serve(c *Conn) {
	// An error of Read itself says that the socket was closed meanwhile.
	if c.rc.Read(p.read) != nil || p.err == syscall.EAGAIN {
		return
	}
	if p.got == 0 {
		c.lost(cmp.Or(p.err, io.EOF))
		return
	}
	c.received(p.buf[:p.got])
}

// readInto runs inside the socket's RawConn, which keeps the descriptor from
// being closed, and so must do nothing else: a close from here would wait for
// itself.
func (p *poller) readInto(fd uintptr) bool {
	for {
		n, err := receiveFD(fd, p.buf)
		if err == syscall.EINTR {
			continue
		}
		p.got, p.err = max(n, 0), err
		return true
	}
}

// watch makes the poller the reader of c.
func (p *poller) watch(c *Conn) error {
	ev := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: c.slot, Pad: c.gen}
	return p.control(c, syscall.EPOLL_CTL_ADD, &ev)
}

// unwatch takes c out. Called by the reader; no event of c is left after it,
// since there is at most one per fetch and that is the one being served.
func (p *poller) unwatch(c *Conn) {
	p.control(c, syscall.EPOLL_CTL_DEL, &syscall.EpollEvent{}) // fails when the socket is closed: as good
}

func (p *poller) control(c *Conn, op int, ev *syscall.EpollEvent) error {
	var failed error
	err := c.rc.Control(func(fd uintptr) {
		if err := p.rc.Control(func(epfd uintptr) {
			failed = syscall.EpollCtl(int(epfd), op, int(fd), ev)
		}); err != nil {
			failed = err
		}
	})
	return errors.Join(err, failed)
}

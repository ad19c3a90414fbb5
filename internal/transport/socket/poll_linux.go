package socket

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
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
type poller[C Watched] struct {
	home  *shard[C]
	log   *slog.Logger
	file  *os.File
	rc    syscall.RawConn
	first sync.Once     // starts run, with the first connection
	done  chan struct{} // closed when run has ended, or will not begin

	// owned by the poller's goroutine; the closures are made once
	events [128]syscall.EpollEvent
	ready  int
	wait   func(fd uintptr) bool
	buf    []byte
	got    int
	read   func(fd uintptr) bool
	err    error
}

func (p *poller[C]) start(home *shard[C], cfg Config) error {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("create epoll: %w", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return fmt.Errorf("make epoll non-blocking: %w", err)
	}
	p.home, p.log = home, cfg.Log
	p.file = os.NewFile(uintptr(fd), "epoll")
	if p.rc, err = p.file.SyscallConn(); err != nil {
		p.file.Close()
		return err
	}
	p.buf = make([]byte, cfg.Buffer)
	p.wait, p.read = p.fetch, p.readInto
	p.done = make(chan struct{})
	return nil
}

func (p *poller[C]) close() {
	if p.done != nil {
		p.file.Close()
		p.first.Do(func() { close(p.done) })
		<-p.done
	}
}

func (p *poller[C]) run() {
	defer close(p.done)
	var none C
	for {
		if err := p.rc.Read(p.wait); err != nil {
			if !p.home.closing.Load() { // a closed file's error is its own, and not exported
				p.log.Error("poller stopped", "error", err)
			}
			return
		}
		if p.err != nil {
			p.log.Error("poller stopped", "error", p.err)
			return
		}
		for _, ev := range p.events[:p.ready] {
			if c := p.home.find(ev.Fd, ev.Pad); c != none {
				p.serve(c)
			}
		}
	}
}

// fetch takes the events that are there; false asks the netpoller to wait.
func (p *poller[C]) fetch(fd uintptr) bool {
	n, err := epollNow(fd, p.events[:])
	if err == syscall.EINTR {
		n, err = 0, nil
	}
	p.ready, p.err = n, err
	return n != 0 || err != nil
}

func (p *poller[C]) serve(c C) {
	// An error of Read itself says that the socket was closed meanwhile.
	if c.Slot().raw.Read(p.read) != nil || p.err == syscall.EAGAIN {
		return
	}
	if p.got == 0 {
		c.Lost(cmp.Or(p.err, io.EOF))
		return
	}
	c.Received(p.buf[:p.got])
}

// readInto runs inside the socket's RawConn, which keeps the descriptor from
// being closed, and so must do nothing else: a close from here would wait for
// itself.
func (p *poller[C]) readInto(fd uintptr) bool {
	for {
		n, err := receiveFD(fd, p.buf)
		if err == syscall.EINTR {
			continue
		}
		p.got, p.err = max(n, 0), err
		return true
	}
}

func (p *poller[C]) watch(c C) error {
	p.first.Do(func() { go p.run() })
	slot := c.Slot()
	return p.control(slot, syscall.EPOLL_CTL_ADD, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: slot.at, Pad: slot.gen})
}

func (p *poller[C]) unwatch(c C) {
	p.control(c.Slot(), syscall.EPOLL_CTL_DEL, &syscall.EpollEvent{}) // fails when the socket is closed: as good
}

func (p *poller[C]) control(slot *Slot, op int, ev *syscall.EpollEvent) error {
	var failed error
	err := slot.raw.Control(func(fd uintptr) {
		if err := p.rc.Control(func(epfd uintptr) {
			failed = syscall.EpollCtl(int(epfd), op, int(fd), ev)
		}); err != nil {
			failed = err
		}
	})
	return errors.Join(err, failed)
}

package bench

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// haveThread: one thread can serve all connections.
const haveThread = true

// thread is the loop for measurements on the machine that the server runs on,
// too, where a client that costs more than the server would spoil the figures:
// one thread around epoll, no goroutine and no buffer for each connection, one
// buffer to read into, one system call for each piece that arrives.
type thread struct {
	epoll   int
	sockets []*socket // by what epoll calls them
	events  [1024]unix.EpollEvent
	buf     []byte
	in, out int64
}

func newThread() (loop, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	// Else a wait is 50 µs longer than it was asked to be, and that would be
	// told as latency. It counts for the thread that the owner is locked to.
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	return &thread{epoll: fd, buf: make([]byte, 256<<10)}, nil
}

func (t *thread) traffic() (in, out int64) { return t.in, t.out }

func (t *thread) close() {
	for _, s := range t.sockets {
		s.close()
	}
	unix.Close(t.epoll)
}

// turn waits in poll for less than a millisecond: epoll_wait counts in whole
// ones, which is too coarse for a thousand messages a second.
func (t *thread) turn(atMost time.Duration) error {
	if atMost < time.Millisecond {
		limit := unix.NsecToTimespec(atMost.Nanoseconds())
		unix.Ppoll([]unix.PollFd{{Fd: int32(t.epoll), Events: unix.POLLIN}}, &limit, nil)
	}
	n, err := unix.EpollWait(t.epoll, t.events[:], int(atMost.Milliseconds()))
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("epoll: %w", err)
	}
	for _, e := range t.events[:max(n, 0)] {
		t.sockets[e.Fd].happened(e.Events)
	}
	return nil
}

// portsEach is how many connections leave from one source address, well below
// the number of ports that a kernel gives out for one.
const portsEach = 20_000

func (t *thread) dial(addr string, number int, h handler) error {
	to, err := netip.ParseAddrPort(addr)
	if err != nil || !to.Addr().Is4() || !to.Addr().IsLoopback() {
		return fmt.Errorf("%s is no address of this machine with a port", addr)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	s := &socket{loop: t, handler: h, id: int32(len(t.sockets)), fd: fd}
	t.sockets = append(t.sockets, s)
	if err = s.connect(to, byte(2+number/portsEach)); err == nil {
		err = s.watch(unix.EPOLL_CTL_ADD, unix.EPOLLIN|unix.EPOLLOUT)
	}
	if err != nil {
		s.close()
	}
	return err
}

// socket is one TCP connection of a thread.
type socket struct {
	loop    *thread
	handler handler
	id      int32
	fd      int // -1 after the end
	open    bool
	unsent  []byte // what the kernel did not take yet
}

func (s *socket) connect(to netip.AddrPort, from byte) error {
	unix.SetsockoptInt(s.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	// Without it a bind to port 0 takes a port that no other target may share.
	unix.SetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	if err := unix.Bind(s.fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, from}}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	err := unix.Connect(s.fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return fmt.Errorf("connect: %w", err)
	}
	return nil
}

func (s *socket) close() {
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd, s.unsent = -1, nil
	}
}

// write sends b, or keeps a copy of what the kernel does not take.
func (s *socket) write(b []byte) error {
	if s.fd < 0 {
		return unix.EPIPE
	}
	if len(s.unsent) == 0 {
		n, err := s.send(b)
		if err != nil || n == len(b) {
			return err
		}
		b = b[n:]
		if err := s.watch(unix.EPOLL_CTL_MOD, unix.EPOLLIN|unix.EPOLLOUT); err != nil {
			return err
		}
	}
	s.unsent = append(s.unsent, b...)
	return nil
}

func (s *socket) send(b []byte) (n int, err error) {
	n, err = unix.SendmsgN(s.fd, b, nil, nil, unix.MSG_NOSIGNAL)
	if errors.Is(err, unix.EAGAIN) {
		return 0, nil
	}
	s.loop.out += int64(max(n, 0))
	return n, err
}

func (s *socket) watch(op int, events uint32) error {
	return unix.EpollCtl(s.loop.epoll, op, s.fd, &unix.EpollEvent{Events: events, Fd: s.id})
}

func (s *socket) happened(events uint32) {
	var err error
	if s.fd >= 0 && events&unix.EPOLLOUT != 0 {
		err = s.writable()
	}
	if s.fd >= 0 && err == nil && events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		err = s.readable()
	}
	if err != nil {
		s.close()
		s.handler.ended(err)
	}
}

func (s *socket) writable() error {
	if !s.open {
		if code, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || code != 0 {
			return errors.Join(err, unix.Errno(code))
		}
		s.open = true
		if err := s.handler.connected(s); err != nil {
			return err
		}
	}
	if len(s.unsent) > 0 {
		n, err := s.send(s.unsent)
		if s.unsent = s.unsent[max(n, 0):]; err != nil || len(s.unsent) > 0 {
			return err
		}
	}
	s.unsent = nil
	return s.watch(unix.EPOLL_CTL_MOD, unix.EPOLLIN)
}

// readable reads once: epoll tells again of what is left.
func (s *socket) readable() error {
	n, err := unix.Read(s.fd, s.loop.buf)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return err
	case n == 0:
		return errors.New("the server closed the connection")
	}
	s.loop.in += int64(n)
	return s.handler.data(s.loop.buf[:n])
}

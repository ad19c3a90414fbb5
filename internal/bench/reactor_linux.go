package bench

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Reactor is one thread around epoll for the sockets of a whole load: no
// goroutine and no buffer for each connection, one shared buffer to read
// into, one system call for each piece that arrives. In Go rather than C
// because the protocol machine is shared with "magpie bench" and its tests;
// what Go adds is some tens of nanoseconds for a call that takes a
// microsecond. One goroutine owns it.
type Reactor struct {
	epoll   int
	sources []source // by what epoll calls them
	timers  []*ticker
	events  [1024]unix.EpollEvent
	buf     []byte

	// Bytes that came in and went out over all sockets.
	In, Out int64
}

// source is what a descriptor belongs to.
type source interface {
	happened(r *Reactor, events uint32)
}

// NewReactor returns a reactor; Close gives back all it has open.
func NewReactor() (*Reactor, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return &Reactor{epoll: fd, buf: make([]byte, 256<<10)}, nil
}

// Close ends every connection and timer.
func (r *Reactor) Close() {
	for _, s := range r.sources {
		if s, ok := s.(*Socket); ok {
			s.Close()
		}
	}
	for _, t := range r.timers {
		t.stop()
	}
	unix.Close(r.epoll)
}

func (r *Reactor) add(fd int, s source, events uint32) (int, error) {
	r.sources = append(r.sources, s)
	id := len(r.sources) - 1
	e := unix.EpollEvent{Events: events, Fd: int32(id)}
	return id, unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, fd, &e)
}

// Turn waits up to patience for something to happen and handles it.
func (r *Reactor) Turn(patience time.Duration) error {
	n, err := unix.EpollWait(r.epoll, r.events[:], int(patience.Milliseconds()))
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("epoll: %w", err)
	}
	for _, e := range r.events[:max(n, 0)] {
		r.sources[e.Fd].happened(r, e.Events)
	}
	return nil
}

// Until turns until done, or until progress has not changed for patience; it
// tells whether it got done.
func (r *Reactor) Until(done func() bool, progress func() int64, patience time.Duration) bool {
	last, moved := progress(), time.Now()
	for !done() {
		if err := r.Turn(5 * time.Millisecond); err != nil {
			return false
		}
		if n := progress(); n != last {
			last, moved = n, time.Now()
		} else if time.Since(moved) > patience {
			return false
		}
	}
	return true
}

// For turns for so long.
func (r *Reactor) For(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		if r.Turn(min(time.Until(end)+time.Millisecond, 10*time.Millisecond)) != nil {
			return
		}
	}
}

// Handler is what a socket's bytes go to.
type Handler interface {
	// Connected is called once, when bytes can be written.
	Connected(s *Socket) error
	// Data is called with what came in; it is the reactor's again afterwards.
	Data(s *Socket, data []byte) error
	// Ended is called once, unless Close was; it gets the reason.
	Ended(s *Socket, err error)
}

// Socket is one TCP connection of a reactor.
type Socket struct {
	reactor *Reactor
	handler Handler
	id      int
	fd      int // -1 after the end
	open    bool
	unsent  []byte // what the kernel did not take yet
}

// portsEach is how many connections leave from one source address, well below
// the number of ports that a kernel gives out for one.
const portsEach = 20_000

// Dial begins a connection to a loopback address. number spreads many over
// source addresses.
func (r *Reactor) Dial(to netip.AddrPort, number int, h Handler) (*Socket, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	s := &Socket{reactor: r, handler: h, fd: fd}
	if err := s.connect(to, byte(2+number/portsEach)); err != nil {
		unix.Close(fd)
		return nil, err
	}
	s.id, err = r.add(fd, s, unix.EPOLLIN|unix.EPOLLOUT)
	return s, err
}

func (s *Socket) connect(to netip.AddrPort, from byte) error {
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

// Close ends the connection without a word to its handler.
func (s *Socket) Close() {
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd, s.unsent = -1, nil
	}
}

func (s *Socket) end(err error) {
	if s.fd >= 0 {
		s.Close()
		s.handler.Ended(s, err)
	}
}

// Write sends b, or keeps a copy of what the kernel does not take.
func (s *Socket) Write(b []byte) error {
	if s.fd < 0 {
		return unix.EPIPE
	}
	if len(s.unsent) > 0 {
		s.unsent = append(s.unsent, b...)
		return nil
	}
	n, err := unix.SendmsgN(s.fd, b, nil, nil, unix.MSG_NOSIGNAL)
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		return err
	}
	n = max(n, 0)
	s.reactor.Out += int64(n)
	if n < len(b) {
		s.unsent = append(s.unsent, b[n:]...)
		return s.watch(unix.EPOLLIN | unix.EPOLLOUT)
	}
	return nil
}

func (s *Socket) watch(events uint32) error {
	e := unix.EpollEvent{Events: events, Fd: int32(s.id)}
	return unix.EpollCtl(s.reactor.epoll, unix.EPOLL_CTL_MOD, s.fd, &e)
}

func (s *Socket) happened(r *Reactor, events uint32) {
	if s.fd < 0 {
		return // ended earlier in this turn
	}
	if events&unix.EPOLLOUT != 0 {
		if err := s.writable(); err != nil {
			s.end(err)
			return
		}
	}
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		if err := s.readable(r.buf); err != nil {
			s.end(err)
		}
	}
}

func (s *Socket) writable() error {
	if !s.open {
		if code, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || code != 0 {
			return errors.Join(err, unix.Errno(code))
		}
		s.open = true
		if err := s.handler.Connected(s); err != nil {
			return err
		}
	}
	if unsent := s.unsent; len(unsent) > 0 {
		s.unsent = nil
		if err := s.Write(unsent); err != nil || len(s.unsent) > 0 {
			return err
		}
	}
	return s.watch(unix.EPOLLIN)
}

// readable reads once: epoll tells again of what is left.
func (s *Socket) readable(buf []byte) error {
	n, err := unix.Read(s.fd, buf)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return err
	case n == 0:
		return errors.New("the server closed the connection")
	}
	s.reactor.In += int64(n)
	return s.handler.Data(s, buf[:n])
}

// ticker is a kernel timer, so that waiting for it costs no turning.
type ticker struct {
	fd   int
	call func()
}

// Every calls f each interval, as often as intervals have passed, until the
// returned function is called.
func (r *Reactor) Every(interval time.Duration, f func()) (stop func(), err error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("timer: %w", err)
	}
	t := &ticker{fd, f}
	r.timers = append(r.timers, t)
	step := unix.NsecToTimespec(max(interval.Nanoseconds(), 1))
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: step, Value: step}, nil); err != nil {
		return nil, fmt.Errorf("timer: %w", err)
	}
	if _, err := r.add(fd, t, unix.EPOLLIN); err != nil {
		return nil, fmt.Errorf("timer: %w", err)
	}
	return t.stop, nil
}

func (t *ticker) stop() {
	if t.fd >= 0 {
		unix.Close(t.fd)
		t.fd = -1
	}
}

func (t *ticker) happened(*Reactor, uint32) {
	var count [8]byte
	if t.fd < 0 {
		return
	}
	if n, err := unix.Read(t.fd, count[:]); err == nil && n == 8 {
		t.call()
	}
}

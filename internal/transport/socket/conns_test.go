package socket

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// inBubble runs f with Conns without pollers, and a clock of its own.
func inBubble(t *testing.T, f func(t *testing.T, s *Conns[*conn])) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, err := New[*conn](Config{Portable: true, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		f(t, s)
		if err := s.Close(context.Background(), s.Drop, s.Drop); err != nil {
			t.Error(err)
		}
	})
}

// open adds a connection whose other end has read the head.
func open(t *testing.T, s *Conns[*conn]) (c *conn, theirs net.Conn) {
	t.Helper()
	c = &conn{received: make(chan string), lost: make(chan error, 1)}
	ours, theirs := net.Pipe()
	head := make(chan string, 1)
	go func() {
		b := make([]byte, 4)
		io.ReadFull(theirs, b)
		head <- string(b)
	}()
	if err := s.Add(c, ours, []byte("head")); err != nil {
		t.Fatal(err)
	}
	if got := <-head; got != "head" {
		t.Errorf("the head is %q", got)
	}
	return c, theirs
}

// The deadline of the head ends with it, and the end is told.
func TestAConnectionOutlivesItsHead(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Conns[*conn]) {
		c, theirs := open(t, s)
		s.Read(c)
		time.Sleep(2 * headTimeout)
		theirs.Write([]byte("late"))
		if got := <-c.received; got != "late" {
			t.Errorf("got %q", got)
		}
		theirs.Close()
		if err := <-c.lost; err != io.EOF {
			t.Errorf("lost with %v", err)
		}
		s.Drop(c)
	})
}

// A client that does not take the head does not hold its handler.
func TestAHeadThatNobodyTakes(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Conns[*conn]) {
		ours, theirs := net.Pipe()
		start := time.Now()
		if err := s.Add(&conn{}, ours, []byte("head")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != headTimeout {
			t.Errorf("after %v", took)
		}
		if _, err := theirs.Read(make([]byte, 1)); err != io.EOF || s.Len() != 0 {
			t.Errorf("the socket is open: %v, %d", err, s.Len())
		}
	})
}

// A reader of its own waits with a small buffer, and with a larger one when it
// is in the middle of something; it ends when it is told to.
func TestReadersBuffers(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Conns[*conn]) {
		c, theirs := open(t, s)
		s.Read(c)
		go theirs.Write(make([]byte, 1000))
		if n := len(<-c.received); n > 64 {
			t.Errorf("an idle reader has room for %d octets", n)
		}
		synctest.Wait()
		c.inside.Store(true)
		<-c.received // was read into the small one
		if n := len(<-c.received); n < 500 {
			t.Errorf("a busy reader has room for %d octets", n)
		}
		synctest.Wait()
		c.stop.Store(true)
		go theirs.Write(make([]byte, 10_000))
		<-c.received
		synctest.Wait()
		select {
		case <-c.received:
			t.Error("read on")
		case err := <-c.lost:
			t.Error(err)
		default:
		}
		s.Read(c) // goes on with the rest
		<-c.received
		theirs.Close()
		s.Drop(c)
	})
}

// Close waits for what is counted: a connection, a goroutine, an Acquire; and
// a connection that is dropped twice counts once.
func TestCloseWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Conns[*conn]) {
		c, _ := open(t, s)
		s.Acquire()
		goOn := make(chan struct{})
		s.Go(func() { <-goOn })
		ended := 0
		closed := make(chan error, 1)
		go func() {
			closed <- s.Close(t.Context(), func(*conn) { ended++ }, func(*conn) { t.Error("cut") })
		}()
		waits := func(what string) {
			t.Helper()
			synctest.Wait()
			if len(closed) != 0 {
				t.Errorf("Close did not wait for %s", what)
			}
		}
		waits("the connection")
		if ours, _ := net.Pipe(); s.Add(&conn{}, ours, nil) != ErrClosed {
			t.Error("a connection was added after Close")
		}
		s.Drop(c)
		s.Drop(c)
		waits("the goroutine")
		close(goOn)
		waits("the Release")
		s.Release()
		if err := <-closed; err != nil || ended != 1 {
			t.Errorf("%v, %d ended", err, ended)
		}
	})
}

// Close is over with its context, and cuts who is left.
func TestCloseIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Conns[*conn]) {
		_, theirs := open(t, s)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := s.Close(ctx, func(*conn) {}, s.Drop); err != context.DeadlineExceeded || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if _, err := theirs.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("who was left got %v", err)
		}
	})
}

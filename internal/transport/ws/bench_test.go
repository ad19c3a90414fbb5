package ws

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkEcho is a message in and the same one out, over loopback, with the
// client's own cost in it.
func BenchmarkEcho(b *testing.B) {
	for _, portable := range []bool{false, true} {
		for _, peers := range []int{1, 100} {
			b.Run(fmt.Sprintf("portable=%v/peers=%d", portable, peers), func(b *testing.B) {
				e := listen(b, Config{forcePortable: portable}, newEcho(nil))
				frame := text(string(make([]byte, 100)))
				var left atomic.Int64
				left.Store(int64(b.N))
				done := make(chan error, peers)
				clients := make([]*client, peers)
				for i := range clients {
					clients[i] = dial(b, e.addr)
					clients[i].SetDeadline(time.Time{})
				}
				b.ReportAllocs()
				b.ResetTimer()
				for _, c := range clients {
					go func() { done <- c.converse(&left, frame) }()
				}
				for range clients {
					if err := <-done; err != nil {
						b.Error(err)
					}
				}
			})
		}
	}
}

// converse sends frame and reads its echo until left is used up.
func (c *client) converse(left *atomic.Int64, frame []byte) error {
	answer := make([]byte, len(frame)-4)
	for left.Add(-1) >= 0 {
		if _, err := c.Write(frame); err != nil {
			return err
		}
		if _, err := io.ReadFull(c.r, answer); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkTryWrite is one delivery to a socket that takes it.
func BenchmarkTryWrite(b *testing.B) {
	e := listen(b, Config{}, newEcho(nil))
	peer := dial(b, e.addr)
	peer.SetDeadline(time.Time{})
	go io.Copy(io.Discard, peer.Conn)
	c := e.conn(b, peer)
	frame := Frame(Text, make([]byte, 100))
	b.ReportAllocs()
	for b.Loop() {
		n, err := c.TryWrite(frame)
		if err == nil && n < len(frame) {
			err = c.Write([][]byte{frame[n:]})
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWrite is a batch of deliveries in one system call.
func BenchmarkWrite(b *testing.B) {
	e := listen(b, Config{}, newEcho(nil))
	peer := dial(b, e.addr)
	peer.SetDeadline(time.Time{})
	go io.Copy(io.Discard, peer.Conn)
	c := e.conn(b, peer)
	frames := bytes.Split(bytes.Repeat(append(Frame(Text, make([]byte, 100)), ' '), 50), []byte(" "))
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Write(frames); err != nil {
			b.Fatal(err)
		}
	}
}

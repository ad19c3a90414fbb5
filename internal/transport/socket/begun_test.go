package socket

import (
	"io"
	"net"
	"testing"
)

// The descriptor is used past Read only when Read has nothing of its own left.
func TestBegun(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	other, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(other, "cd")
	b := &Begun{TCPConn: c.(*net.TCPConn), Rest: []byte("ab")}
	for _, want := range []string{"a", "b", "c", "d"} {
		if _, err := b.SyscallConn(); (err == nil) != (want > "b") || (below(b) == c) != (want > "b") {
			t.Errorf("before %s: %v", want, err)
		}
		if got, err := io.ReadAll(io.LimitReader(b, 1)); err != nil || string(got) != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
}

package e2e

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"magpie/test/kit"
)

// tap is a raw session whose bytes are kept as they come. With it many
// subscribers are compared without taking each frame of each apart.
type tap struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func newTap(t *testing.T, n *kit.Node, query string) *tap {
	t.Helper()
	c := n.Connect()
	io.WriteString(c, n.Handshake("/websocket?"+query))
	r := bufio.NewReader(c)
	if res, err := http.ReadResponse(r, nil); err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: %v, %v", res, err)
	}
	_ = c.SetDeadline(time.Time{})
	s := &tap{}
	var reader sync.WaitGroup
	reader.Go(func() { io.Copy(s, r) })
	t.Cleanup(func() {
		c.Close()
		reader.Wait()
	})
	return s
}

func (s *tap) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *tap) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Len()
}

func (s *tap) equals(want []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Equal(s.b.Bytes(), want)
}

// textFrames are the bytes by which a server sends these texts (RFC 6455, 5.2).
func textFrames(texts []string) (b []byte) {
	for _, text := range texts {
		if b = append(b, 0x81); len(text) < 126 {
			b = append(b, byte(len(text)))
		} else {
			b = binary.BigEndian.AppendUint16(append(b, 126), uint16(len(text)))
		}
		b = append(b, text...)
	}
	return b
}

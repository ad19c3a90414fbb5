package arrival

import (
	"context"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// What the HTTP library takes away is known of the first head, and supposed of a
// later one whose connection had the word.
func TestLengthsOf(t *testing.T) {
	const host, chunked, length = "POST / HTTP/1.1\r\nHost: a\r\n", "Transfer-Encoding: chunked\r\n", "CONTENT-length: 5\r\n"
	for name, x := range map[string]struct {
		text string
		want Lengths
	}{
		"chunks alone":             {host + chunked + "\r\n", OneLength},
		"both":                     {host + chunked + length + "\r\n", TwoLengths},
		"both, the other way":      {host + length + chunked + "\r\n", TwoLengths},
		"both, ends without CR":    {"POST / HTTP/1.1\nContent-Length:5\ntransfer-encoding:chunked\n\n", TwoLengths},
		"a body that names it":     {host + chunked + "\r\n" + length, PerhapsTwo},
		"a value that names it":    {host + chunked + "A: content-length\r\n\r\n", PerhapsTwo},
		"a longer name":            {host + chunked + "X-Content-Length: 5\r\n\r\n", PerhapsTwo},
		"half of the name":         {host + chunked + "Content-Lengt: 5\r\n\r\n", OneLength},
		"the next request has one": {"GET / HTTP/1.1\r\n\r\n" + host + chunked + length + "\r\n", PerhapsTwo},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, listen(t, 0))
			conn := newConn(c, []byte(x.text))
			if _, err := io.ReadFull(conn, make([]byte, len(x.text))); err != nil {
				t.Fatal(err)
			}
			if got := LengthsOf(WithConn(t.Context(), conn)); got != x.want {
				t.Errorf("%v, want %v", got, x.want)
			}
		})
	}
	if got := LengthsOf(context.Background()); got != PerhapsTwo {
		t.Errorf("without a connection: %v", got)
	}
}

// However octets are cut, the name is found.
func FuzzNames(f *testing.F) {
	f.Add([]byte("a: b\r\nContent-Length: 5\r\n"), uint64(1))
	f.Add([]byte("content-content-lengt\xe5content-lengthh-"), uint64(2))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		want := strings.Contains(ascii(b), contentLength)
		c, got := &Conn{}, false
		rnd := rand.New(rand.NewPCG(seed, 1))
		for rest := b; len(rest) > 0 && !got; {
			n := min(len(rest), 1+rnd.IntN(1+rnd.IntN(40)))
			got = c.names(rest[:n])
			rest = rest[n:]
		}
		if got != want {
			t.Errorf("%q: %v", b, got)
		}
	})
}

// ascii returns text with its ASCII letters small, and no others.
func ascii(b []byte) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, string(b))
}

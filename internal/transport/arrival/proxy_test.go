package arrival

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	proxyproto "github.com/pires/go-proxyproto"
)

// written is a PROXY header as proxies write it.
func written(t testing.TB, version byte, command proxyproto.ProtocolVersionAndCommand, from string, more ...proxyproto.TLV) string {
	t.Helper()
	source, err := net.ResolveTCPAddr("tcp", from)
	if err != nil {
		t.Fatal(err)
	}
	h := proxyproto.HeaderProxyFromAddrs(version, source, source)
	h.Command = command
	if err := h.SetTLVs(more); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := h.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A proxy's connection is its client's, however the header is cut, and what stands
// behind it is untouched. One without a header ends.
func TestProxyHeaders(t *testing.T) {
	long := proxyproto.TLV{Type: proxyproto.PP2_TYPE_MIN_CUSTOM, Value: bytes.Repeat([]byte("x"), 1000)}
	for name, x := range map[string]struct{ header, from string }{ // from: "" the connection ends, "proxy" it is the proxy's own
		"version 1":             {written(t, 1, proxyproto.PROXY, "203.0.113.7:4711"), "203.0.113.7:4711"},
		"version 1, IPv6":       {written(t, 1, proxyproto.PROXY, "[2001:db8::7]:4711"), "[2001:db8::7]:4711"},
		"version 1, unknown":    {"PROXY UNKNOWN\r\n", "proxy"},
		"version 2":             {written(t, 2, proxyproto.PROXY, "203.0.113.7:4711"), "203.0.113.7:4711"},
		"version 2, IPv6":       {written(t, 2, proxyproto.PROXY, "[2001:db8::7]:4711"), "[2001:db8::7]:4711"},
		"version 2, with more":  {written(t, 2, proxyproto.PROXY, "203.0.113.7:4711", long), "203.0.113.7:4711"},
		"version 2, of its own": {written(t, 2, proxyproto.LOCAL, "203.0.113.7:4711"), "proxy"},
		"none":                  {"", ""},
		"version 1, broken":     {"PROXY TCP4 nowhere\r\n", ""},
		"version 1, no end":     {"PROXY TCP4 " + strings.Repeat("1", 200) + "\r\n", ""},
		"version 2, very long":  {string(proxyproto.SIGV2) + "\x21\x11\xff\xff" + strings.Repeat("x", 100), ""},
		"version 2, too short":  {string(proxyproto.SIGV2) + "\x21\x11\x00\x04abcd", ""},
		"nearly":                {"PROXIES\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, cut := range []int{1, 7, 1 << 20} {
				l := listenTo(t, time.Hour, func(net.Addr) bool { return true })
				c := dial(t, l)
				go func() {
					for rest := x.header + head; rest != ""; {
						n := min(cut, len(rest))
						if _, err := io.WriteString(c, rest[:n]); err != nil {
							return
						}
						rest = rest[n:]
					}
				}()
				if x.from == "" {
					if _, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") {
						t.Fatal(err)
					}
					continue
				}
				served := accept(t, l)
				got := make([]byte, len(head))
				if _, err := io.ReadFull(served, got); err != nil || string(got) != head {
					t.Fatalf("%v, %q", err, got)
				}
				want := x.from
				if want == "proxy" {
					want = c.LocalAddr().String()
				}
				if from := served.RemoteAddr().String(); from != want {
					t.Errorf("cut by %d: from %s, want %s", cut, from, want)
				}
			}
		})
	}
}

// A header of somebody who is no proxy is not read as one, and a proxy that sends
// nothing, or half of one, is closed in time.
func TestOnlyProxiesAreBelieved(t *testing.T) {
	header := written(t, 1, proxyproto.PROXY, "203.0.113.7:4711")
	l := listenTo(t, time.Hour, func(net.Addr) bool { return false })
	c := dial(t, l)
	if _, err := io.WriteString(c, header+head); err != nil {
		t.Fatal(err)
	}
	served := accept(t, l)
	got := make([]byte, len(header))
	if _, err := io.ReadFull(served, got); err != nil || string(got) != header || served.RemoteAddr().String() != c.LocalAddr().String() {
		t.Errorf("%v, %q from %s", err, got, served.RemoteAddr())
	}
	l = listenTo(t, 50*time.Millisecond, func(net.Addr) bool { return true })
	for _, begun := range []string{"", "PROXY TCP4", string(proxyproto.SIGV2)} {
		c := dial(t, l)
		if _, err := io.WriteString(c, begun); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%q: %v", begun, err)
		}
	}
}

// Where no one can look into connections, as over TLS, the same holds.
func TestAnnounced(t *testing.T) {
	below, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	proxied := true
	l := Announced(below, func(net.Addr) bool { return proxied }, patience)
	defer l.Close()
	for _, x := range []struct {
		header  string
		proxied bool
		from    string
	}{{written(t, 2, proxyproto.PROXY, "203.0.113.7:4711"), true, "203.0.113.7:4711"}, {"", false, ""}, {"", true, "none"}} {
		proxied = x.proxied
		c, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", below.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, x.header+"hello"); err != nil {
			t.Fatal(err)
		}
		served, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer served.Close()
		b := make([]byte, 5)
		_, err = io.ReadFull(served, b)
		if x.from == "none" {
			if err == nil {
				t.Errorf("without a header came %q", b)
			}
			continue
		}
		want := x.from
		if want == "" {
			want = c.LocalAddr().String()
		}
		if err != nil || string(b) != "hello" || served.RemoteAddr().String() != want {
			t.Errorf("%v, %q from %s, want %s", err, b, served.RemoteAddr(), want)
		}
	}
}

// However much of a header is there, the answer is: not yet, the same as for all of
// it, or no header. What is read is what the library reads.
func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte(written(f, 1, proxyproto.PROXY, "203.0.113.7:4711") + head))
	f.Add([]byte(written(f, 2, proxyproto.PROXY, "[2001:db8::7]:4711") + head))
	f.Add([]byte(written(f, 2, proxyproto.LOCAL, "203.0.113.7:4711")))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		from, rest, done, err := cutProxyHeader(b)
		if done {
			h, herr := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(b), maxProxyHeader))
			if err != nil || herr != nil || from != nil && h.SourceAddr.String() != from.String() || !bytes.HasSuffix(b, rest) {
				t.Fatalf("%q: %v, %v, %v", b, from, err, herr)
			}
		}
		ready := len(b) - len(rest)
		for n := range min(len(b), 300) {
			if n == 0 {
				continue
			}
			_, _, partly, perr := cutProxyHeader(b[:n])
			if done && partly != (n >= ready) || done && perr != nil || perr != nil && err == nil {
				t.Fatalf("%q, %d of it: %v, %v; all of it: %v, %v", b, n, partly, perr, done, err)
			}
		}
	})
}

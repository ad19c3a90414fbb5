package arrival

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"time"

	proxyproto "github.com/pires/go-proxyproto"
)

// maxProxyHeader is the longest PROXY header that is read: addresses are some 50
// octets, and what proxies add, such as the names of certificates, some hundred.
const maxProxyHeader = 4 << 10

// maxProxyLine is the longest header of version 1 (PROXY protocol section 2.1).
const maxProxyLine = 107

var errNoProxyHeader = errors.New("a connection of a proxy begins without a PROXY header")

// cutProxyHeader takes the PROXY header off what a connection begins with, and
// returns the address that it names; nil when it names none, as for a check of the
// proxy's own. done is false while more of it has to come.
func cutProxyHeader(b []byte) (from net.Addr, rest []byte, done bool, err error) {
	size, err := proxyHeaderSize(b)
	if err != nil || size == 0 || size > len(b) {
		return nil, b, false, err
	}
	h, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(b[:size])))
	if err != nil {
		return nil, b, false, err
	}
	if tcp, ok := h.SourceAddr.(*net.TCPAddr); ok && !h.Command.IsLocal() {
		from = tcp
	}
	return from, b[size:], true, nil
}

// proxyHeaderSize is how long the header is that b begins with; 0: that is not known
// yet.
func proxyHeaderSize(b []byte) (int, error) {
	n := len(b)
	switch {
	case bytes.HasPrefix(b, proxyproto.SIGV2):
		const fixed = 16
		if n < fixed {
			return 0, nil
		}
		if size := fixed + int(binary.BigEndian.Uint16(b[fixed-2:])); size <= maxProxyHeader {
			return size, nil
		}
	case bytes.HasPrefix(b, proxyproto.SIGV1):
		if end := bytes.IndexByte(b[:min(n, maxProxyLine)], '\n'); end > 0 {
			return end + 1, nil
		}
		if n < maxProxyLine {
			return 0, nil
		}
	case bytes.HasPrefix(proxyproto.SIGV2, b), bytes.HasPrefix(proxyproto.SIGV1, b):
		return 0, nil
	}
	return 0, errNoProxyHeader
}

// Announced puts a listener over another, for connections that no Listener of this
// package can look into. Those of proxies begin with a PROXY header, which has to
// come within a time; RemoteAddr is what it names, and waits for it. A connection
// without one fails when it is read. proxies tells whether an address is a proxy's.
func Announced(below net.Listener, proxies func(net.Addr) bool, within time.Duration) net.Listener {
	return &proxyproto.Listener{
		Listener: below, ReadHeaderTimeout: within,
		ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			if proxies(o.Upstream) {
				return proxyproto.REQUIRE, nil
			}
			return proxyproto.SKIP, nil
		},
	}
}

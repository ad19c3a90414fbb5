// Package address tells where requests come from, and holds what each address
// has taken of the limits.
//
// It does no I/O and starts no goroutine.
package address

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the networks whose proxies are believed when they say whom they
// speak for.
type Proxies []netip.Prefix

// ParseProxy reads an address or a network in CIDR notation.
func ParseProxy(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return p, fmt.Errorf("%q is no network; write an address, such as 10.0.0.7 or fd00::7, or a network, such as 10.0.0.0/8", s)
	}
	return p.Masked(), nil
}

// Cover tells whether an address is a proxy's.
func (p Proxies) Cover(a netip.Addr) bool {
	for _, network := range p {
		if network.Contains(a) {
			return true
		}
	}
	return false
}

// CoverAddr is Cover of an address with a port.
func (p Proxies) CoverAddr(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && p.Cover(tcp.AddrPort().Addr().Unmap().WithZone(""))
}

// Of returns the address that a request comes from. That is the one at the
// other end of its connection, unless that is a proxy's: then it is the last one
// in X-Forwarded-For that is not, or in Forwarded (RFC 7239) where there is no
// X-Forwarded-For. What stands before it may be made up. An entry that is no
// address ends the search: the proxy that wrote it is the last that is known.
// Without a connection over IP the address is the zero Addr. Of allocates nothing.
func (p Proxies) Of(r *http.Request) netip.Addr {
	at, _ := parse(r.RemoteAddr)
	if !p.Cover(at) {
		return at
	}
	lines, entry := r.Header["X-Forwarded-For"], parse
	if len(lines) == 0 {
		lines, entry = r.Header["Forwarded"], parseForwarded
	}
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; {
			var last string
			rest, last, more = cutLast(rest)
			a, ok := entry(last)
			if !ok {
				return at
			}
			if at = a; !p.Cover(at) {
				return at
			}
		}
	}
	return at
}

// cutLast takes the last entry off a list.
func cutLast(list string) (rest, last string, more bool) {
	i := strings.LastIndexByte(list, ',')
	if i < 0 {
		return "", list, false
	}
	return list[:i], list[i+1:], true
}

// parse reads an address with or without a port, as proxies write it.
func parse(s string) (netip.Addr, bool) {
	s = strings.Trim(s, " \t")
	if strings.HasSuffix(s, "]") {
		s = strings.TrimPrefix(s[:len(s)-1], "[")
	}
	var a netip.Addr
	var err error
	if strings.HasPrefix(s, "[") || strings.Count(s, ":") == 1 {
		var both netip.AddrPort
		both, err = netip.ParseAddrPort(s)
		a = both.Addr()
	} else {
		a, err = netip.ParseAddr(s)
	}
	return a.Unmap().WithZone(""), err == nil
}

// parseForwarded reads the parameter for of one forwarded-element (RFC 7239
// section 4). Its names and values have no commas, but for extensions in quotes:
// an element that such a comma has cut is no address.
func parseForwarded(element string) (netip.Addr, bool) {
	for rest, more := element, true; more; {
		var pair string
		pair, rest, more = strings.Cut(rest, ";")
		name, value, _ := strings.Cut(pair, "=")
		if strings.EqualFold(strings.Trim(name, " \t"), "for") {
			value = strings.Trim(value, " \t")
			return parse(strings.TrimSuffix(strings.TrimPrefix(value, `"`), `"`))
		}
	}
	return netip.Addr{}, false
}

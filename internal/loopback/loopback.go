// Package loopback tells whether a host is this machine itself. It resolves no
// names, does no I/O and starts no goroutine.
package loopback

import (
	"net/netip"
	"strings"
)

// Host tells whether host, without a port, is localhost, 127.0.0.0/8 or ::1,
// also as an IPv4 address in IPv6.
func Host(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

package tokenkey

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
)

// CheckURL tells whether a key set may be fetched from this address: https,
// or http to this machine, without a user and a password.
func CheckURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "":
		return errors.New("the address of a key set is no URL; write https://host/path")
	case u.User != nil:
		return errors.New("the address of a key set holds a user or a password; key sets are public, leave it out")
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return errors.New("the address of a key set is not https (or http to this machine); who can change the keys on their way can sign tokens")
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

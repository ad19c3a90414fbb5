// Package origin reads the origins of web pages (RFC 6454) and brings those that
// people write in settings and those that browsers send into one form: lower
// case, names outside ASCII in Punycode, no port that the scheme has anyway.
//
// It knows no HTTP and refuses nobody. It starts no goroutine.
package origin

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Origin is a page's origin. Two are the same page's when they are equal.
type Origin struct {
	Scheme string
	Host   string // with the port, when it is not the scheme's own
}

// Parse reads what a browser sent. ok is false for pages without an origin of
// their own ("null") and for what no browser sends: names outside ASCII, a
// path, a user.
func Parse(s string) (o Origin, ok bool) {
	u, err := url.Parse(s)
	if err != nil || u.Path != "" || !bare(u) {
		return Origin{}, false
	}
	host := u.Hostname()
	if strings.HasPrefix(host, ".") || strings.Contains(host, "..") || strings.ContainsFunc(host, unusual) {
		return Origin{}, false
	}
	return join(u, strings.ToLower(host))
}

// unusual tells whether a character is in no host that a browser names.
func unusual(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-_.:", c)
}

// bare tells whether a URL has nothing beside scheme, host and path.
func bare(u *url.URL) bool {
	return u.Scheme != "" && u.Host != "" && u.RawQuery == "" && !u.ForceQuery && u.Fragment == "" && u.User == nil
}

// join makes the origin of a URL's scheme and port and a host.
func join(u *url.URL, host string) (Origin, bool) {
	if strings.HasPrefix(u.Host, "[") {
		ip, err := netip.ParseAddr(host)
		if err != nil || ip.Zone() != "" {
			return Origin{}, false
		}
		host = "[" + ip.String() + "]"
	}
	if text := u.Port(); text != "" {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return Origin{}, false
		}
		if port != ownPort[u.Scheme] {
			host += ":" + strconv.FormatUint(port, 10)
		}
	}
	return Origin{u.Scheme, host}, true
}

var ownPort = map[string]uint64{"http": 80, "https": 443}

// Web tells whether the page came over HTTP: apps and extensions have schemes
// of their own.
func (o Origin) Web() bool { return ownPort[o.Scheme] != 0 }

// Serves tells whether the page came from the server that a request addresses
// as host, which is host[:port].
func (o Origin) Serves(host string) bool {
	own, ok := Parse(o.Scheme + "://" + host)
	return ok && o.Web() && own == o
}

func (o Origin) String() string { return o.Scheme + "://" + o.Host }

// In tells whether entries mean this origin, and whether one of them names it:
// "*" and "moz-extension://*" mean pages of people whom nobody knows. Entries
// are in the form of Entry.
func (o Origin) In(entries []string) (allowed, named bool) {
	s := o.String()
	for _, e := range entries {
		before, after, pattern := strings.Cut(e, "*")
		switch {
		case !pattern && s == e:
			return true, true
		case pattern && strings.HasPrefix(s, before) && strings.HasSuffix(s, after):
			allowed, named = true, named || after != ""
		}
	}
	return allowed, named
}

package origin

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// Entry reads one entry of a list of origins, as people write it, and returns
// it in the form that Origin.In takes and that a Content-Security-Policy takes
// too. An entry is
//
//   - an origin, such as https://app.example.com or capacitor://localhost,
//   - https://*.example.com, all names below a domain, with one or more labels,
//   - moz-extension://*, all pages of a scheme whose hosts are made at random,
//   - *, everybody.
func Entry(s string) (string, error) {
	if s == "*" {
		return s, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return "", fmt.Errorf("%q is not an origin; write scheme://host[:port] such as https://app.example.com, or *", s)
	}
	switch u.Scheme {
	case "ws", "wss":
		return "", fmt.Errorf("%q is where a client connects to; name the page that it runs on, such as http%s://%s", s, u.Scheme[2:], u.Host)
	case "file", "data", "blob", "about", "javascript":
		return "", fmt.Errorf("%q is not an origin: browsers give pages of this kind none; serve them over http, or write * alone to allow all", s)
	}
	if u.Path != "" && u.Path != "/" || !bare(u) {
		return "", fmt.Errorf("%q is more than an origin; write %s://%s", s, u.Scheme, u.Host)
	}
	if u.Host == "*" && slices.Contains(randomHosts, u.Scheme) {
		return s, nil
	}
	host, below := strings.CutPrefix(u.Hostname(), "*.")
	if strings.Contains(host, "*") {
		return "", fmt.Errorf("%q holds a * where none can be; it stands for the beginning of a name, as in https://*.example.com, or alone for all", s)
	}
	if host, err = ascii(host); err != nil {
		return "", fmt.Errorf("%q is not an origin: %w", s, err)
	}
	if below {
		if err := checkDomain(host); err != nil {
			return "", fmt.Errorf("%q: %w", s, err)
		}
		host = "*." + host
	}
	o, ok := join(u, host)
	if !ok {
		return "", fmt.Errorf("%q is not an origin: no browser has such a host or port", s)
	}
	return o.String(), nil
}

// randomHosts are the schemes of extensions whose host each browser makes for
// itself, so that nobody can name it.
var randomHosts = []string{"moz-extension", "safari-web-extension"}

// ascii returns a host as browsers send it (UTS 46).
func ascii(host string) (string, error) {
	if !strings.ContainsFunc(host, func(c rune) bool { return c > '~' }) {
		return strings.ToLower(host), nil
	}
	return idna.Lookup.ToASCII(host)
}

// checkDomain refuses a domain below which everybody may have a name, such as
// co.uk or github.io, and one that is none.
func checkDomain(domain string) error {
	last := domain[strings.LastIndexByte(domain, '.')+1:]
	if _, err := netip.ParseAddr(domain); err == nil || last == "" || strings.Trim(last, "0123456789") == "" {
		return fmt.Errorf("%q is no domain with names below it", domain)
	}
	suffix, managed := publicsuffix.PublicSuffix(domain)
	if suffix == domain && (managed || strings.Contains(suffix, ".")) {
		return fmt.Errorf("everybody can have a name below %s; write * alone to allow all", domain)
	}
	return nil
}

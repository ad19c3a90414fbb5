package config

import (
	"fmt"
	"net/url"
	"strings"
)

// checkOrigin reads one allowed origin and returns it as browsers send it:
// lower case, without the scheme's own port, without a trailing slash.
func checkOrigin(s string) (string, error) {
	if s == "*" {
		return s, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("%q is not an origin; write scheme://host[:port] such as https://app.example.com, or *", s)
	}
	if strings.Contains(u.Host, "*") {
		return "", fmt.Errorf("%q holds a wildcard; name each origin in full, or write * alone to allow all", s)
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", fmt.Errorf("%q is more than an origin; write %s://%s", s, u.Scheme, u.Host)
	}
	return NormalOrigin(u.Scheme, u.Host), nil
}

// NormalOrigin joins a scheme and a host[:port] to an origin in the one form
// in which origins are compared: lower case, without the scheme's own port.
func NormalOrigin(scheme, host string) string {
	scheme, host = strings.ToLower(scheme), strings.ToLower(host)
	switch scheme {
	case "http":
		host = strings.TrimSuffix(host, ":80")
	case "https":
		host = strings.TrimSuffix(host, ":443")
	}
	return scheme + "://" + host
}

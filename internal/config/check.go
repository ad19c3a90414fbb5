package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"magpie/internal/address"
	"magpie/internal/channel"
	"magpie/internal/origin"
	"magpie/internal/tokenkey"
)

// minAPIKey is 96 bits in base64 or 64 in hex: too many to guess over a
// network. Words that people choose are mostly shorter.
const minAPIKey = 16

// minSecret is RFC 7518 section 3.2: an HS256 key is as long as its hash, at
// least. A shorter one can be guessed offline from a single token.
const minSecret = 32

var (
	prefixForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$`)
	nodeForm   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)
	hostForm   = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$`)
)

// check accepts or refuses one text, and returns it as it is to be kept.
type check = func(string) (string, error)

func anyText(s string) (string, error) { return s, nil }

// optional accepts the empty text, too.
func optional(c check) check {
	return func(s string) (string, error) {
		if s == "" {
			return s, nil
		}
		return c(s)
	}
}

// matching accepts what has the form; refusal says what to write instead.
func matching(form *regexp.Regexp, refusal string) check {
	return func(s string) (string, error) {
		if !form.MatchString(s) {
			return "", fmt.Errorf("%q %s", s, refusal)
		}
		return s, nil
	}
}

func checkAddr(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", fmt.Errorf("%q is not host:port; write localhost:8080, or :8080 for all addresses", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || port != strconv.FormatUint(n, 10) {
		return "", fmt.Errorf("%q ends in no port number; write one from 0 to 65535, as in localhost:8080", s)
	}
	withoutZone, _, _ := strings.Cut(host, "%")
	if host != "" && net.ParseIP(withoutZone) == nil && !hostForm.MatchString(host) {
		return "", fmt.Errorf("%q is not the name or IP address of a host; write host:port without http:// and path", s)
	}
	return s, nil
}

// checkInternal is checkAddr for a listener that is this machine's unless it says
// otherwise.
func checkInternal(s string) (string, error) {
	if s, err := checkAddr(s); err != nil || !strings.HasPrefix(s, ":") {
		return s, err
	}
	return "localhost" + s, nil
}

// RedactURL puts a mark in the place of a URL's password, so that it can be
// logged. What cannot be read as a URL is hidden in full.
func RedactURL(s string) string {
	if s == "" {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil {
		return hidden
	}
	if _, has := u.User.Password(); u.User != nil && !has {
		u.User = url.User(hidden) // it may be a password in the wrong place
	}
	q := u.Query()
	for key := range q {
		if strings.Contains(strings.ToLower(key), "pass") {
			q.Set(key, hidden)
		}
	}
	u.RawQuery = q.Encode()
	return u.Redacted()
}

func checkTokenSecret(s string) (string, error) {
	if len(s) < minSecret {
		return "", fmt.Errorf("a token secret has %d bytes and needs %d; make one with: openssl rand -hex 32", len(s), minSecret)
	}
	return s, nil
}

func checkAPIKey(s string) (string, error) {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return "", errors.New("an API key holds a space or a character outside ASCII, which no header carries; make one with: openssl rand -hex 32")
		}
	}
	if len(s) < minAPIKey {
		return "", fmt.Errorf("an API key has %d characters and needs %d, better 32 or more; make one with: openssl rand -hex 32", len(s), minAPIKey)
	}
	return s, nil
}

func checkStream(s string) (string, error) {
	if s == "" {
		return "", errors.New("a stream's key is empty; write the key that you XADD to")
	}
	return s, nil
}

func checkGlob(s string) (string, error) { return s, channel.CheckGlob(s) }

func checkProxy(s string) (string, error) {
	p, err := address.ParseProxy(s)
	if err != nil {
		return "", err
	}
	return p.String(), nil
}

func checkJWKS(s string) (string, error) { return s, tokenkey.CheckURL(s) }

func checkOrigin(s string) (string, error) { return origin.Entry(s) }

func checkPersonal(s string) (string, error) {
	if channel.Check(s) != nil || len(s) > 100 || strings.HasPrefix(s, "$") {
		return "", fmt.Errorf("%q cannot begin users' channels; write up to 100 characters that a channel's name may have and no $ first, such as user:", s)
	}
	return s, nil
}

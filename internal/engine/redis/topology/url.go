package topology

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/redis/rueidis"
)

const urlForm = "write redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], rediss://… for TLS, unix:///path/to/redis.sock, or redis+cluster://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…] for a cluster (rediss+cluster:// with TLS)"

// Target is what a Redis URL names.
type Target struct {
	Option  rueidis.ClientOption
	Name    string // what messages call it
	Cluster bool
}

// ParseURL reads a Redis URL. Its errors never repeat the URL, which may hold
// a password.
func ParseURL(s string) (Target, error) {
	if err := checkUser(s); err != nil {
		return Target{}, err
	}
	s, others, isCluster := clusterURL(s)
	t, err := parseOne(s)
	if err != nil || !isCluster {
		return t, err
	}
	if t.Option.SelectDB != 0 {
		return t, errors.New("a Redis Cluster has no databases but 0; " + urlForm)
	}
	if t.Option.TLSConfig != nil {
		t.Option.TLSConfig.ServerName = "" // each master has its own
	}
	for _, one := range others {
		other, err := parseOne("redis://" + one)
		if err != nil || one == "" || other.Option.Username+other.Option.Password != "" || other.Option.SelectDB != 0 {
			return t, errors.New("an address of the Redis Cluster cannot be read; " + urlForm)
		}
		t.Option.InitAddress = append(t.Option.InitAddress, other.Name)
	}
	t.Name, t.Cluster = strings.Join(t.Option.InitAddress, ","), true
	return t, nil
}

// checkUser looks at what stands before the host, as people write it: with a
// password that cuts the URL short, or alone where a user is meant.
func checkUser(s string) error {
	scheme, rest, _ := strings.Cut(s, "://")
	end := strings.LastIndexByte(rest, '@')
	if scheme == "unix" { // a path may hold one, too
		end = strings.Index(rest, "@/")
	}
	if end < 0 || scheme == "unix" && strings.HasPrefix(rest, "/") {
		return nil
	}
	user := rest[:end]
	switch {
	case !strings.Contains(user, ":"):
		return errors.New("the Redis URL has no colon before its password; a password alone is written redis://:PASSWORD@HOST, a user without one redis://USER:@HOST; " + urlForm)
	case strings.Contains(scheme, "cluster") && strings.Contains(user, "@"), !plainUser.MatchString(user):
		return errors.New("the user or the password in the Redis URL holds a character that must be written in percent form there: " +
			"# as %23, / as %2F, ? as %3F, % as %25, @ as %40, [ as %5B, ] as %5D, \\ as %5C, a space as %20; " + urlForm)
	}
	return nil
}

// plainUser is what a URL may have before its host (RFC 3986, section 3.2.1),
// and @, which the last one ends.
var plainUser = regexp.MustCompile(`^([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*$`)

// clusterURL takes a cluster's URL apart into the URL of its first address and
// the others. Any other URL is left as it is.
func clusterURL(s string) (first string, others []string, cluster bool) {
	for _, scheme := range []string{"redis", "rediss"} {
		rest, ok := strings.CutPrefix(s, scheme+"+cluster://")
		if !ok {
			continue
		}
		at := strings.IndexByte(rest, '@') + 1
		user, hosts := rest[:at], strings.TrimSuffix(rest[at:], "/")
		all := strings.Split(hosts, ",")
		return scheme + "://" + user + all[0], all[1:], true
	}
	return s, nil, false
}

func parseOne(s string) (t Target, err error) {
	u, err := url.Parse(s)
	if err != nil || s == "" {
		return t, errors.New("the Redis URL cannot be read; " + urlForm)
	}
	q := u.Query()
	switch {
	case strings.Contains(u.Scheme, "sentinel"), q.Has("master_set"), q.Has("sentinel"):
		return t, errors.New("Redis Sentinel is not supported yet; name one Redis: " + urlForm)
	case strings.Contains(u.Scheme, "cluster"), q.Has("cluster"), q.Has("addr"), strings.Contains(u.Host, ","):
		return t, errors.New("several addresses are those of a Redis Cluster, and its URL begins with redis+cluster://; " + urlForm)
	case u.Fragment != "":
		return t, errors.New("the Redis URL has a #; write %23 where one is meant; " + urlForm)
	}
	for key := range q {
		if key != "db" {
			return t, fmt.Errorf("the Redis URL has the unknown parameter %q; only db is known; %s", key, urlForm)
		}
	}
	if u.User != nil {
		t.Option.Username = u.User.Username()
		t.Option.Password, _ = u.User.Password()
	}
	database := q.Get("db")
	switch u.Scheme {
	case "unix":
		if u.Path == "" || u.Host != "" {
			return t, errors.New("the Redis URL names no socket by its whole path: a slash is missing, write unix:///path/to/redis.sock; " + urlForm)
		}
		t.Name = u.Path
		t.Option.DialCtxFn = dialUnix
	case "redis", "rediss":
		host, port := u.Hostname(), u.Port()
		if host == "" {
			return t, errors.New("the Redis URL names no host; " + urlForm)
		}
		if port == "" {
			port = "6379"
		}
		t.Name = net.JoinHostPort(host, port)
		if u.Scheme == "rediss" {
			t.Option.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
		}
		if path := strings.Trim(u.Path, "/"); path != "" {
			database = path
		}
	default:
		return t, errors.New("the Redis URL begins with none of redis://, rediss://, unix://; " + urlForm)
	}
	if database != "" {
		if t.Option.SelectDB, err = strconv.Atoi(database); err != nil || t.Option.SelectDB < 0 {
			return t, errors.New("the database in the Redis URL is not a number; " + urlForm)
		}
	}
	t.Option.InitAddress = []string{t.Name}
	return t, nil
}

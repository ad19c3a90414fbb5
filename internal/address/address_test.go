package address

import (
	"net/http"
	"net/netip"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func proxies(t testing.TB, list ...string) (p Proxies) {
	t.Helper()
	for _, text := range list {
		network, err := ParseProxy(text)
		if err != nil {
			t.Fatal(err)
		}
		p = append(p, network)
	}
	return p
}

func from(peer string, headers ...string) *http.Request {
	r := &http.Request{RemoteAddr: peer, Header: http.Header{}}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

const forwardedFor = "X-Forwarded-For"

// A stranger's word is never taken; a proxy's reaches as far as proxies have
// written it.
func TestOf(t *testing.T) {
	p := proxies(t, "10.0.0.0/8", "192.0.2.1", "fd00::/8")
	for name, x := range map[string]struct {
		r    *http.Request
		want string
	}{
		"no proxy":                     {from("203.0.113.7:80"), "203.0.113.7"},
		"a stranger's word":            {from("203.0.113.7:80", forwardedFor, "198.51.100.1", "Forwarded", "for=198.51.100.1"), "203.0.113.7"},
		"a proxy's word":               {from("10.1.2.3:80", forwardedFor, "203.0.113.7"), "203.0.113.7"},
		"a proxy that is silent":       {from("10.1.2.3:80"), "10.1.2.3"},
		"what the client made up":      {from("10.1.2.3:80", forwardedFor, "1.1.1.1, 2.2.2.2, 203.0.113.7"), "203.0.113.7"},
		"what it made up apart":        {from("10.1.2.3:80", forwardedFor, "1.1.1.1", forwardedFor, "203.0.113.7"), "203.0.113.7"},
		"two proxies":                  {from("10.1.2.3:80", forwardedFor, "1.1.1.1, 203.0.113.7, 192.0.2.1"), "203.0.113.7"},
		"two proxies, two lines":       {from("10.1.2.3:80", forwardedFor, "1.1.1.1,203.0.113.7", forwardedFor, "192.0.2.1"), "203.0.113.7"},
		"proxies alone":                {from("10.1.2.3:80", forwardedFor, "10.0.0.1, 10.0.0.2"), "10.0.0.1"},
		"no address":                   {from("10.1.2.3:80", forwardedFor, "203.0.113.7, unknown"), "10.1.2.3"},
		"no address before a proxy":    {from("10.1.2.3:80", forwardedFor, "unknown, 192.0.2.1"), "192.0.2.1"},
		"nothing":                      {from("10.1.2.3:80", forwardedFor, ""), "10.1.2.3"},
		"commas":                       {from("10.1.2.3:80", forwardedFor, ",,"), "10.1.2.3"},
		"with a port":                  {from("10.1.2.3:80", forwardedFor, "203.0.113.7:4711"), "203.0.113.7"},
		"IPv6":                         {from("[fd00::1]:80", forwardedFor, "2001:db8::7"), "2001:db8::7"},
		"IPv6 in brackets":             {from("[fd00::1]:80", forwardedFor, "[2001:db8::7]"), "2001:db8::7"},
		"IPv6 with a port":             {from("[fd00::1]:80", forwardedFor, "[2001:db8::7]:80"), "2001:db8::7"},
		"IPv6 with a zone":             {from("[fe80::1%eth0]:80"), "fe80::1"},
		"IPv4 in IPv6":                 {from("[::ffff:10.1.2.3]:80", forwardedFor, "::ffff:203.0.113.7"), "203.0.113.7"},
		"Forwarded":                    {from("10.1.2.3:80", "Forwarded", "for=1.1.1.1, for=203.0.113.7;proto=https;by=10.1.2.3"), "203.0.113.7"},
		"Forwarded, in any case":       {from("10.1.2.3:80", "Forwarded", `proto=http ; FOR="[2001:db8::7]:4711"`), "2001:db8::7"},
		"Forwarded, hidden":            {from("10.1.2.3:80", "Forwarded", "for=203.0.113.7, for=_hidden"), "10.1.2.3"},
		"Forwarded, without for":       {from("10.1.2.3:80", "Forwarded", "by=203.0.113.7"), "10.1.2.3"},
		"Forwarded, a comma in quotes": {from("10.1.2.3:80", "Forwarded", `for=203.0.113.7;x="a,for=1.1.1.1"`), "1.1.1.1"},
		"Forwarded is the client's":    {from("10.1.2.3:80", forwardedFor, "203.0.113.7", "Forwarded", "for=1.1.1.1"), "203.0.113.7"},
		"no IP":                        {from("@"), "invalid IP"},
	} {
		if got := p.Of(x.r); got.String() != x.want {
			t.Errorf("%s: %s, want %s", name, got, x.want)
		}
	}
}

func TestParseProxy(t *testing.T) {
	for text, want := range map[string]string{"10.0.0.7": "10.0.0.7/32", "10.1.2.3/8": "10.0.0.0/8", "fd00::7": "fd00::7/128", "::ffff:10.0.0.7": "10.0.0.7/32", "0.0.0.0/0": "0.0.0.0/0"} {
		if p, err := ParseProxy(text); err != nil || p.String() != want {
			t.Errorf("%s: %v, %v", text, p, err)
		}
	}
	for _, text := range []string{"", "proxy", "10.0.0", "10.0.0.0/33", "fe80::1%eth0", "10.0.0.0-10.0.0.9", "::ffff:10.0.0.0/104"} {
		if p, err := ParseProxy(text); err == nil {
			t.Errorf("%q: %v", text, p)
		}
	}
}

func TestOfDoesNotAlloc(t *testing.T) {
	p, r := proxies(t, "10.0.0.0/8"), from("10.1.2.3:80", forwardedFor, "1.1.1.1, 203.0.113.7, 10.0.0.2")
	if n := testing.AllocsPerRun(100, func() { p.Of(r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever strangers write, a proxy's own entry behind it counts; nobody's word but
// a proxy's does.
func FuzzForwarded(f *testing.F) {
	f.Add("1.1.1.1, unknown, [2001:db8::7]:80", `for="[::1]";by=_x, for=1.1.1.1`)
	f.Fuzz(func(t *testing.T, list, elements string) {
		p, want := proxies(t, "10.0.0.0/8"), netip.MustParseAddr("203.0.113.7")
		for _, r := range []*http.Request{
			from("203.0.113.7:80", forwardedFor, list, "Forwarded", elements),
			from("10.0.0.1:80", forwardedFor, list+", 203.0.113.7", "Forwarded", elements),
			from("10.0.0.1:80", forwardedFor, list, forwardedFor, "203.0.113.7"),
			from("10.0.0.1:80", "Forwarded", elements+", for=203.0.113.7"),
		} {
			if got := p.Of(r); got != want {
				t.Errorf("%v: %s", r.Header, got)
			}
		}
		if got := p.Of(from("10.0.0.1:80", forwardedFor, list)); !got.IsValid() {
			t.Errorf("%q: nobody", list)
		}
	})
}

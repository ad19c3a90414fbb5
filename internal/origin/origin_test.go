package origin

import (
	"strings"
	"testing"
)

// What browsers send, and what only somebody else does.
func TestParse(t *testing.T) {
	for sent, want := range map[string]string{
		"https://app.example.com":           "https://app.example.com",
		"HTTPS://App.Example.COM":           "https://app.example.com",
		"https://app.example.com:443":       "https://app.example.com",
		"http://app.example.com:80":         "http://app.example.com",
		"http://app.example.com:443":        "http://app.example.com:443",
		"https://app.example.com:08443":     "https://app.example.com:8443",
		"https://app.example.com.":          "https://app.example.com.",
		"http://my_app.local":               "http://my_app.local",
		"https://xn--bcher-kva.example":     "https://xn--bcher-kva.example",
		"http://[::1]:3000":                 "http://[::1]:3000",
		"http://[0:0::0:1]":                 "http://[::1]",
		"capacitor://localhost":             "capacitor://localhost",
		"chrome-extension://abcdefghijklmn": "chrome-extension://abcdefghijklmn",
		"app://-":                           "app://-",
		"":                                  "",
		"null":                              "",
		"file://":                           "",
		"file:///C:/x.html":                 "",
		"data:text/html,x":                  "",
		"about:blank":                       "",
		"https://":                          "",
		"//app.example.com":                 "",
		"app.example.com":                   "",
		"https://app.example.com/":          "",
		"https://app.example.com?":          "",
		"https://app.example.com#x":         "",
		"https://u@app.example.com":         "",
		"https://app.example.com:x":         "",
		"https://app.example.com:65536":     "",
		"https://bücher.example":            "",
		"https://b%C3%BCcher.example":       "",
		"https://\u212Aey.example":          "",
		"https://*.example.com":             "",
		"https://.example.com":              "",
		"https://a..example.com":            "",
		"https://a.com https://b.com":       "",
		"https://a.com,b.com":               "",
		"http://[::1%25eth0]":               "",
	} {
		o, ok := Parse(sent)
		if got := o.String(); ok && got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v", sent, got, ok)
		}
	}
}

func TestServes(t *testing.T) {
	for _, c := range []struct {
		origin, host string
		want         bool
	}{
		{"https://chat.example.com", "chat.example.com", true},
		{"https://chat.example.com", "CHAT.example.com:443", true},
		{"http://chat.example.com", "chat.example.com:80", true},
		{"https://chat.example.com", "chat.example.com:80", false},
		{"http://chat.example.com:8080", "chat.example.com:8080", true},
		{"http://chat.example.com:8080", "chat.example.com", false},
		{"https://chat.example.com", "127.0.0.1:8080", false},
		{"http://[::1]:8080", "[::1]:8080", true},
		{"https://chat.example.com", "", false},
		{"https://chat.example.com", "x@chat.example.com", false},
		{"capacitor://localhost", "localhost", false},
	} {
		o, _ := Parse(c.origin)
		if o.Serves(c.host) != c.want {
			t.Errorf("%s serves %s: %v", c.origin, c.host, !c.want)
		}
	}
}

// An entry of the list, the origins that it means and those that it does not.
// Origins that begin with ~ are meant without being named.
func TestEntries(t *testing.T) {
	for _, c := range []struct{ entry, form, meant, others string }{
		{"*", "*", "~https://a.example ~http://b:1 ~tauri://localhost", ""},
		{"HTTPS://App.Example.com:443/", "https://app.example.com", "https://app.example.com https://app.example.com:443 https://APP.example.com",
			"http://app.example.com https://app.example.com:444 https://x.app.example.com https://app.example.com.evil.org https://evilapp.example.com https://app.example.com."},
		{"http://b:80", "http://b", "http://b http://b:80", "https://b"},
		{"http://b:443/", "http://b:443", "http://b:443", "http://b https://b"},
		{"https://*.Example.com", "https://*.example.com", "https://a.example.com https://a.b.example.com https://A.EXAMPLE.com:443 https://xn--bcher-kva.example.com",
			"https://example.com https://evil-example.com https://example.com.evil.org https://a.example.com.evil.org http://a.example.com https://a.example.com:8443 https://a.example.com. https://.example.com https://evil.org/.example.com https://a.exampleXcom"},
		{"https://*.example.com:8443", "https://*.example.com:8443", "https://a.example.com:8443", "https://a.example.com https://a.example.com:18443"},
		{"http://*.localhost:3000", "http://*.localhost:3000", "http://shop.localhost:3000", "http://localhost:3000"},
		{"https://bücher.example", "https://xn--bcher-kva.example", "https://xn--bcher-kva.example", "https://bcher.example https://bücher.example"},
		{"https://BÜCHER.example:8443", "https://xn--bcher-kva.example:8443", "https://xn--bcher-kva.example:8443", "https://xn--bcher-kva.example"},
		{"https://faß.example", "https://xn--fa-hia.example", "https://xn--fa-hia.example", "https://fass.example"},
		{"https://*.例え.jp", "https://*.xn--r8jz45g.jp", "https://a.xn--r8jz45g.jp", "https://xn--r8jz45g.jp"},
		{"https://xn--bcher-kva.example", "https://xn--bcher-kva.example", "https://xn--bcher-kva.example", ""},
		{"http://[0:0:0:0:0:0:0:1]:3000", "http://[::1]:3000", "http://[::1]:3000", "http://[::2]:3000"},
		{"capacitor://localhost", "capacitor://localhost", "capacitor://localhost CAPACITOR://LOCALHOST", "http://localhost ionic://localhost capacitor://localhost.evil.org capacitor://localhost:1"},
		{"tauri://localhost", "tauri://localhost", "tauri://localhost", "http://tauri.localhost"},
		{"ionic://localhost", "ionic://localhost", "ionic://localhost", "null"},
		{"chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb", "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb", "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb",
			"chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllclec moz-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb"},
		{"moz-extension://6b1e4e55-bf6f-1f0c-9d0b-6a117b0f2f7c", "moz-extension://6b1e4e55-bf6f-1f0c-9d0b-6a117b0f2f7c", "moz-extension://6b1e4e55-bf6f-1f0c-9d0b-6a117b0f2f7c",
			"moz-extension://6b1e4e55-bf6f-1f0c-9d0b-6a117b0f2f7d"},
		{"moz-extension://*", "moz-extension://*", "~moz-extension://6b1e4e55-bf6f-1f0c-9d0b-6a117b0f2f7c", "https://a.example chrome-extension://abc moz-extension://"},
	} {
		form, err := Entry(c.entry)
		if err != nil || form != c.form {
			t.Errorf("%q: %q, %v", c.entry, form, err)
		}
		if again, err := Entry(form); err != nil || again != form {
			t.Errorf("%q read again: %q, %v", form, again, err)
		}
		for sent := range strings.FieldsSeq(c.meant) {
			sent, anonymous := strings.CutPrefix(sent, "~")
			if allowed, named := in(sent, form); !allowed || named == anonymous {
				t.Errorf("%q for %q: allowed %v, named %v", c.entry, sent, allowed, named)
			}
		}
		for sent := range strings.FieldsSeq(c.others) {
			if allowed, named := in(sent, form); allowed || named {
				t.Errorf("%q allows %q", c.entry, sent)
			}
		}
	}
	if allowed, named := in("https://a.example", "*", "https://a.example"); !allowed || !named {
		t.Errorf("beside *: allowed %v, named %v", allowed, named)
	}
}

func in(sent string, entries ...string) (allowed, named bool) {
	o, ok := Parse(sent)
	if !ok {
		return false, false
	}
	return o.In(entries)
}

func TestEntriesThatAreRefused(t *testing.T) {
	for entry, want := range map[string]string{
		"":                           "is not an origin",
		"null":                       "is not an origin",
		"example.com":                "is not an origin",
		"localhost:3000":             "is not an origin",
		"file://":                    "is not an origin",
		"file://host/x":              "browsers give pages of this kind none",
		"wss://example.com":          "such as https://example.com",
		"ws://example.com:1":         "such as http://example.com:1",
		"https://example.com/app":    "is more than an origin; write https://example.com",
		"https://u@example.com":      "is more than an origin; write https://example.com",
		"https://example.com?x":      "is more than an origin",
		"https://example.com:65536":  "no browser has such a host or port",
		"http://[::g]":               "is not an origin",
		"https://a\u200b b.example":  "is not an origin",
		"https://\u202eb.example":    "is not an origin",
		"https://*":                  "holds a *",
		"https://*example.com":       "holds a *",
		"https://a.*.example.com":    "holds a *",
		"https://*.*.example.com":    "holds a *",
		"chrome-extension://*":       "holds a *",
		"https://*.":                 "no domain",
		"https://*.168.0.1":          "no domain",
		"https://*.com":              "everybody can have a name below com",
		"https://*.co.uk":            "everybody can have a name below co.uk",
		"https://*.github.io":        "everybody can have a name below github.io",
		"https://*.example.com/path": "is more than an origin; write https://*.example.com",
	} {
		if form, err := Entry(entry); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v", entry, form, err)
		}
	}
}

// What a browser could send to be taken for a page that it is not.
func FuzzIn(f *testing.F) {
	for _, s := range []string{"https://a.example.com", "https://example.com.evil.org", "https://[::1]:1", "null", "https://a@b.example.com:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		allowed, _ := in(sent, "https://*.example.com")
		host, ok := strings.CutPrefix(strings.ToLower(sent), "https://")
		host = strings.TrimSuffix(host, ":443")
		labels, below := strings.CutSuffix(host, ".example.com")
		if allowed && (!ok || !below || labels == "" || strings.ContainsAny(labels, "/@?#:\\ ")) {
			t.Errorf("%q is taken for a name below example.com", sent)
		}
	})
}

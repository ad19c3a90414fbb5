package web

import (
	"regexp"
	"strings"
	"testing"
)

// X4: the policy refuses inline code; what is refused must not be there.
func TestPagesHaveNothingInline(t *testing.T) {
	inline := regexp.MustCompile(`(?i)<style|style=|\son\w+=|javascript:|<script(?:>|[^>]*[^>]>[^<])`)
	for path, f := range renderPages(Options{RedisCLI: "redis-cli", Version: "1"}, "h", true) {
		if found := inline.Find(f.body); found != nil {
			t.Errorf("%s: %s", path, found)
		}
	}
}

// X1: no text becomes markup, whatever way it came in.
func TestScriptsBuildNodesOnly(t *testing.T) {
	sink := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setHTML|createContextualFragment|DOMParser|srcdoc`)
	assets, _ := loadAssets()
	for name, f := range assets {
		if name == "app.js" {
			continue // its library knows the word; its own sources are held to this by their tests, all of it by the policy
		}
		if found := sink.Find(f.body); found != nil {
			t.Errorf("%s uses %s", name, found)
		}
	}
}

// No third party is asked for anything.
func TestNothingPointsElsewhere(t *testing.T) {
	elsewhere := regexp.MustCompile(`(?:https?:)?//[a-z0-9-]+\.[a-z]|@import|url\(`)
	files, _ := loadAssets()
	for path, f := range renderPages(Options{}, "h", true) {
		files[path] = f
	}
	for name, f := range files {
		if name == "app.js" {
			continue // its library names XML's namespaces; a browser test holds that nobody else is asked
		}
		text := strings.ReplaceAll(string(f.body), "http://www.w3.org/2000/svg", "")
		if found := elsewhere.FindString(text); found != "" {
			t.Errorf("%s: %s", name, found)
		}
	}
}

func TestOptionsAreText(t *testing.T) {
	nasty := `"><script>alert(1)</script>`
	page := string(renderPages(Options{Version: nasty, RedisCLI: nasty, Open: true}, "h", true)["/"].body)
	if strings.Contains(page, "<script>alert") {
		t.Error("an option became markup")
	}
}

func TestAppPageTellsTheScriptWhatItIs(t *testing.T) {
	for _, c := range []struct {
		name string
		o    Options
		want []string
	}{
		{"embedded", Options{Open: true, MaxPayload: 1000}, []string{`data-open="true"`, `data-redis-cli=""`, `data-max-payload="1000"`}},
		{"redis", Options{RedisCLI: "redis-cli"}, []string{`data-open="false"`, `data-redis-cli="redis-cli"`}},
		{"personal", Options{Personal: "box:"}, []string{`data-personal="box:"`}},
		{"version", Options{Version: "1.2.3"}, []string{`data-version="1.2.3"`}},
	} {
		page := string(renderPages(c.o, "h", true)["/"].body)
		for _, want := range c.want {
			if !strings.Contains(page, want) {
				t.Errorf("%s: no %s", c.name, want)
			}
		}
	}
}

// Without Node the binary has no app; its first page says what to do.
func TestWithoutTheAppThePageSaysHowToBuildIt(t *testing.T) {
	pages := renderPages(Options{}, "h", false)
	if page := string(pages["/"].body); !strings.Contains(page, "make build") || !strings.Contains(page, `href="/classic"`) {
		t.Error(page)
	}
	if pages["/embed"] != nil {
		t.Error("a frame without an app")
	}
}

// Only the frame may be framed, and only by those who are named.
func TestWhoMayFrame(t *testing.T) {
	pages := renderPages(Options{Embedders: []string{"https://shop.example"}}, "h", true)
	if p := pages["/embed"].policy; !strings.Contains(p, "frame-ancestors 'self' https://shop.example; ") {
		t.Error(p)
	}
	if pages["/"].policy != "" || !strings.Contains(contentSecurityPolicy, "frame-ancestors 'none'; ") {
		t.Error("the app itself may be framed")
	}
}

// The founding page: these ids, a read-only text area, an input, a button.
func TestClassicPageHasItsParts(t *testing.T) {
	page := string(renderPages(Options{}, "h", true)["/classic"].body)
	for _, want := range []string{`<textarea id="messages"`, "readonly", `<input id="message"`, `<button id="send"`, ">Send</button>"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
}

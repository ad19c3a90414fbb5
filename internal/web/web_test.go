package web

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// ask sends one request straight to the handler, without a client or a mux
// that would tidy the path first.
func ask(t *testing.T, h http.Handler, method, target string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, "/", nil)
	r.URL.Path, r.RequestURI = target, target
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// assetsOf finds what a page refers to under /assets/.
func assetsOf(t *testing.T, h http.Handler, page string) []string {
	t.Helper()
	found := regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`).FindAllStringSubmatch(body(t, ask(t, h, "GET", page)), -1)
	var paths []string
	for _, m := range found {
		paths = append(paths, m[1])
	}
	if len(paths) < 3 {
		t.Fatalf("%s refers to %d assets", page, len(paths))
	}
	return paths
}

func TestPagesAndTheirAssetsAnswer(t *testing.T) {
	h := New(Options{})
	for _, page := range []string{"/", "/classic"} {
		r := ask(t, h, "GET", page)
		if r.StatusCode != 200 || r.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %d %s", page, r.StatusCode, r.Header.Get("Content-Type"))
		}
		for _, asset := range assetsOf(t, h, page) {
			if r := ask(t, h, "GET", asset); r.StatusCode != 200 || len(body(t, r)) == 0 {
				t.Errorf("%s names %s: %d", page, asset, r.StatusCode)
			}
		}
	}
}

// Every module that a module imports is served from the same directory.
func TestModulesImportWhatIsServed(t *testing.T) {
	h := New(Options{})
	imports := regexp.MustCompile(`from "\./([^"]+)"`)
	for name, f := range h.assets {
		for _, m := range imports.FindAllStringSubmatch(string(f.body), -1) {
			if h.assets[m[1]] == nil {
				t.Errorf("%s imports %s, which is not there", name, m[1])
			}
		}
	}
}

// P3: under nosniff a wrong type leaves the page without script or style.
func TestEveryAssetHasItsType(t *testing.T) {
	h := New(Options{})
	want := map[string]string{"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
	for path := range h.routes {
		if !strings.HasPrefix(path, assetRoot) {
			continue
		}
		r := ask(t, h, "GET", path)
		if got := r.Header.Get("Content-Type"); got != want[path[strings.LastIndexByte(path, '.')+1:]] {
			t.Errorf("%s: %q", path, got)
		}
	}
}

// P3, X4: the headers stand on every answer, refusals included.
func TestSecurityHeadersOnEveryAnswer(t *testing.T) {
	h := New(Options{})
	want := map[string]string{
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
	}
	directives := []string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self' data:",
		"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'",
	}
	paths := append(assetsOf(t, h, "/"), "/", "/classic", "/nothing", "/favicon.ico")
	for _, path := range paths {
		for _, method := range []string{"GET", "HEAD", "POST", "TRACE"} {
			r := ask(t, h, method, path)
			for name, value := range want {
				if r.Header.Get(name) != value {
					t.Errorf("%s %s: %s is %q", method, path, name, r.Header.Get(name))
				}
			}
			csp := strings.Split(r.Header.Get("Content-Security-Policy"), "; ")
			for _, d := range directives {
				if !slices.Contains(csp, d) {
					t.Errorf("%s %s: no %q in the policy", method, path, d)
				}
			}
			if strings.Contains(strings.Join(csp, ";"), "unsafe") {
				t.Errorf("%s %s: the policy allows something unsafe", method, path)
			}
		}
	}
}

// S10: net/http routes TRACE and CONNECT to handlers like any other method.
func TestOtherMethodsAreRefused(t *testing.T) {
	h := New(Options{})
	paths := append(assetsOf(t, h, "/"), "/", "/classic", "/favicon.ico")
	for _, path := range paths {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW", "get"} {
			r := ask(t, h, method, path, "X-HTTP-Method-Override", "GET", "Cookie", "secret=1")
			if r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d, Allow %q", method, path, r.StatusCode, r.Header.Get("Allow"))
			}
			if strings.Contains(body(t, r), "secret") {
				t.Errorf("%s %s repeats what was sent", method, path)
			}
		}
	}
}

func TestHeadIsGetWithoutBody(t *testing.T) {
	h := New(Options{})
	for path := range h.routes {
		get, head := ask(t, h, "GET", path), ask(t, h, "HEAD", path)
		if head.StatusCode != 200 || body(t, head) != "" {
			t.Errorf("HEAD %s: %d with %d bytes", path, head.StatusCode, len(body(t, head)))
		}
		for _, name := range []string{"Content-Type", "Content-Length", "ETag", "Cache-Control"} {
			if get.Header.Get(name) != head.Header.Get(name) || get.Header.Get(name) == "" {
				t.Errorf("%s of %s: GET %q, HEAD %q", name, path, get.Header.Get(name), head.Header.Get(name))
			}
		}
	}
}

// P1, P2: a path is one of a fixed set or nothing; no form of it reaches a
// file, a directory or the source.
func TestPathTricksFindNothing(t *testing.T) {
	h := New(Options{})
	hash := strings.Split(assetsOf(t, h, "/")[0], "/")[2]
	tricks := []string{
		"", "/assets", "/assets/", "/assets/" + hash, "/assets/" + hash + "/", "/assets/classic.js",
		"/assets/" + hash + "//classic.js", "/assets/" + hash + "/./classic.js", "/assets/" + hash + "/../classic.js",
		"/assets/" + hash + "/../../web.go", "/assets/../web.go", "/../etc/passwd", "/assets/%2e%2e/%2e%2e/etc/passwd",
		"/assets/..%2f..%2fetc%2fpasswd", `/assets/` + hash + `/..\..\web.go`, "/assets/%252e%252e/x", "//assets/" + hash + "/classic.js",
		"//evil.example/", "/assets/" + hash + "/classic.js\x00.png", "/\x00", "/assets/" + hash + "/classic.js/", "/assets/" + hash + "/CLASSIC.JS",
		"/assets/" + strings.ToUpper(hash) + "/classic.js", "/assets/short/classic.js", "/classic/", "/classic/..", "/Classic", "/pages/app.html",
		"/app.html", "/index.html", "/r/a/b", "/r/../r/", "/embed/", "/embed.js/", "/app/dist/app.js", "/.git/config", "/.env", "/assets/" + hash + "/.htaccess", "/assets/" + hash + "/classic.js.map",
		"/" + strings.Repeat("a/", 50_000), "/assets/" + strings.Repeat("../", 10_000) + "etc/passwd",
	}
	for _, path := range tricks {
		r := ask(t, h, "GET", path)
		if r.StatusCode != http.StatusNotFound {
			t.Errorf("%.80q: %d", path, r.StatusCode)
		}
		if b := body(t, r); len(b) > 200 || (len(path) > 4 && strings.Contains(b, path)) {
			t.Errorf("%.80q: %d bytes, or the path repeated", path, len(b))
		}
		if r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%.80q may be cached", path)
		}
	}
}

// The same over a connection and through http.ServeMux, as the app mounts it.
func TestPathTricksOverTheWire(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/", New(Options{}))
	s := httptest.NewServer(mux)
	defer s.Close()
	for _, target := range []string{"/../web.go", "/assets/%2e%2e/web.go", "/assets/..%2fweb.go", "/%5c..%5cweb.go", "/%00", "//web.go", "/assets/"} {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "GET "+target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", target, err)
		}
		location := r.Header.Get("Location")
		if r.StatusCode < 301 || strings.HasPrefix(location, "//") || strings.Contains(location, ":") {
			t.Errorf("%s: %d to %q", target, r.StatusCode, location)
		}
		conn.Close()
	}
}

func TestRefusalSpeaksToWhoAsks(t *testing.T) {
	h := New(Options{})
	if r := ask(t, h, "POST", "/", "Accept", "text/html"); r.StatusCode != 405 || r.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("%d, Allow %q", r.StatusCode, r.Header.Get("Allow"))
	}
	page := ask(t, h, "GET", "/nothing", "Accept", "text/html,*/*;q=0.8")
	if b := body(t, page); page.StatusCode != 404 || !strings.Contains(b, "<p>There is nothing at this address.</p>") {
		t.Errorf("%d %s", page.StatusCode, b)
	}
	plain := ask(t, h, "GET", "/nothing", "Accept", "*/*")
	if b := body(t, plain); b != `{"error":{"code":"not_found","message":"There is nothing at this address."}}`+"\n" {
		t.Errorf("%s", b)
	}
}

func TestCaching(t *testing.T) {
	h := New(Options{})
	asset := assetsOf(t, h, "/")[0]
	for path, want := range map[string]string{"/": "no-cache", "/classic": "no-cache", asset: "public, max-age=31536000, immutable"} {
		r := ask(t, h, "GET", path)
		if got := r.Header.Get("Cache-Control"); got != want {
			t.Errorf("%s: %q", path, got)
		}
		etag := r.Header.Get("ETag")
		for _, tags := range []string{etag, "W/" + etag, `"other", ` + etag, "*"} {
			again := ask(t, h, "GET", path, "If-None-Match", tags)
			if again.StatusCode != http.StatusNotModified || body(t, again) != "" || again.Header.Get("ETag") != etag {
				t.Errorf("%s with %s: %d", path, tags, again.StatusCode)
			}
		}
		if again := ask(t, h, "GET", path, "If-None-Match", `"other"`); again.StatusCode != 200 {
			t.Errorf("%s, changed: %d", path, again.StatusCode)
		}
	}
}

// While a new version rolls out: a page of the other version still gets its
// script, but nobody keeps it under the other version's address.
func TestForeignHashIsServedUncached(t *testing.T) {
	r := ask(t, New(Options{}), "GET", "/assets/0123456789abcdef/classic.js")
	if r.StatusCode != 200 || r.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("%d %s", r.StatusCode, r.Header.Get("Cache-Control"))
	}
}

// P4: many overlapping ranges cost no more than the file.
func TestRangesAreNotOffered(t *testing.T) {
	h := New(Options{})
	whole := body(t, ask(t, h, "GET", "/"))
	r := ask(t, h, "GET", "/", "Range", "bytes="+strings.Repeat("0-,", 5_000)+"0-")
	if r.StatusCode != 200 || body(t, r) != whole {
		t.Errorf("%d", r.StatusCode)
	}
}

// Assets are compressed when the app is built, not when they are asked for.
func TestPrecompressed(t *testing.T) {
	f := newFile([]byte("plain"), "text/css; charset=utf-8")
	f.encoded = []encoded{{"br", []byte("b")}, {"gzip", []byte("g")}}
	for accept, want := range map[string]string{
		"": "plain", "gzip": "g", "gzip, deflate, br": "b", "GZIP;q=0.5": "g", "br;q=0, gzip": "g", "br; q=0.000": "plain",
		"br;q=0.1": "b", "identity": "plain", "brotli": "plain", "*": "plain",
	} {
		r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
		r.Header.Set("Accept-Encoding", accept)
		f.serve(w, r)
		got := w.Result()
		if b := body(t, got); b != want || got.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: %q, Vary %q", accept, b, got.Header.Get("Vary"))
		}
		if (want == "plain") != (got.Header.Get("ETag") == f.etag) {
			t.Errorf("%q: other bytes under the same tag", accept)
		}
	}
}

// Every room has an address, and all addresses the same page.
func TestRoomsHaveAddresses(t *testing.T) {
	h := New(Options{})
	first := body(t, ask(t, h, "GET", "/"))
	for _, path := range []string{"/r/lobby", "/r/项目", "/r/" + strings.Repeat("a", 255), `/r/"><script>`} {
		r := ask(t, h, "GET", path)
		if b := body(t, r); r.StatusCode != 200 || b != first {
			t.Errorf("%s: %d", path, r.StatusCode)
		}
	}
	for _, path := range []string{"/r/", "/r", "/r/a/b", "/r/" + strings.Repeat("a", 256)} {
		if r := ask(t, h, "GET", path); r.StatusCode != 404 {
			t.Errorf("%s: %d", path, r.StatusCode)
		}
	}
}

// The script for other sites' pages is the one file that they may load.
func TestOnlyTheEmbedScriptIsShared(t *testing.T) {
	h := New(Options{})
	if h.assets["app.js"] == nil {
		if r := ask(t, h, "GET", "/embed.js"); r.StatusCode != 404 {
			t.Errorf("without the app: %d", r.StatusCode)
		}
		return
	}
	for path := range h.routes {
		shared := ask(t, h, "GET", path).Header.Get("Cross-Origin-Resource-Policy") == "cross-origin"
		if shared != (path == "/embed.js") {
			t.Errorf("%s: shared %v", path, shared)
		}
	}
}

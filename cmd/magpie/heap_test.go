//go:build linux

package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"magpie/internal/app"
	"magpie/internal/config"
	"magpie/internal/metrics"
)

// held is what a process holds at one moment: its heap by who allocated it,
// its goroutines by what they do, and their stacks.
type held struct {
	sites      map[site]amount
	heap       int64 // live bytes
	goroutines map[string]int
	all        int // goroutines
	stacks     int64
}

// site is where memory was allocated: the function that did it, and in whose
// name, if that is another package.
type site struct{ pkg, function string }

type amount struct{ bytes, objects int64 }

// hold looks at this process. What nobody holds any more is collected first:
// twice for what pools keep, and once because a profile is as of the last
// collection but one. Sites are complete where the profile's rate was 1.
func hold() held {
	for range 3 {
		runtime.GC()
	}
	h := held{sites: make(map[site]amount), goroutines: make(map[string]int)}
	// Before this function takes room of its own.
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	h.heap, h.stacks = int64(m.HeapAlloc), int64(m.StackInuse)
	records := make([]runtime.MemProfileRecord, 1<<16)
	n, _ := runtime.MemProfile(records, false)
	for _, r := range records[:n] {
		if s, ok := allocator(r.Stack()); ok {
			a := h.sites[s]
			h.sites[s] = amount{a.bytes + r.InUseBytes(), a.objects + r.InUseObjects()}
		}
	}
	stacks := make([]runtime.StackRecord, 1<<16)
	h.all, _ = runtime.GoroutineProfile(stacks)
	for _, s := range stacks[:min(h.all, len(stacks))] {
		h.goroutines[errand(s.Stack())]++
	}
	return h
}

// allocator names the function that asked the runtime, and the one that it
// worked for: of ours, else of TLS or HTTP, which have goroutines of their own.
// Not ok is what the test itself allocated.
func allocator(stack []uintptr) (s site, ok bool) {
	leaf, asker := "", ""
	frames := runtime.CallersFrames(stack)
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		name := f.Function
		switch {
		case strings.HasPrefix(name, "magpie/cmd/"), strings.HasPrefix(name, "os/exec."), strings.HasPrefix(name, "testing."):
			return site{}, false
		case strings.HasPrefix(name, "magpie/"):
			asker, more = name, false
		case asker == "" && (strings.HasPrefix(name, "crypto/tls.") || strings.HasPrefix(name, "net/http.")):
			asker = name
		}
		// The runtime works for others, unless it is for itself.
		if leaf == "" && !isAllocation(name) || inRuntime(leaf) && !inRuntime(name) {
			leaf = name
		}
	}
	pkg, function := splitFunction(leaf)
	if asker != "" && asker != leaf {
		function += ", for " + strings.TrimPrefix(asker, "magpie/internal/")
	}
	return site{pkg, function}, true
}

// isAllocation tells the runtime's ways to allocate from what it allocates for
// itself, such as goroutines.
func isAllocation(function string) bool {
	for _, name := range []string{"malloc", "newobject", "newarray", "makeslice", "growslice", "makemap", "profilealloc", "rawbyteslice", "rawstring", "concatstring", "slicebytetostring", "stringtoslicebyte", "mapassign"} {
		if strings.HasPrefix(function, "runtime."+name) {
			return true
		}
	}
	return false
}

func inRuntime(function string) bool {
	return strings.HasPrefix(function, "runtime.") || strings.HasPrefix(function, "internal/runtime")
}

// splitFunction parts a package's path from a function's name.
func splitFunction(f string) (pkg, function string) {
	slash := strings.LastIndexByte(f, '/') + 1
	if dot := strings.IndexByte(f[slash:], '.'); dot >= 0 {
		return strings.TrimPrefix(f[:slash+dot], "magpie/internal/"), f[slash+dot+1:]
	}
	return "", f
}

// errand names what a goroutine was started for: its first function of ours,
// else its first.
func errand(stack []uintptr) string {
	var first, ours string
	for frames := runtime.CallersFrames(stack); ; {
		f, more := frames.Next()
		if f.Function != "" && f.Function != "runtime.goexit" {
			first = f.Function
		}
		if strings.HasPrefix(f.Function, "magpie/") {
			ours = f.Function
		}
		if !more {
			return strings.TrimPrefix(cmp.Or(ours, first), "magpie/internal/")
		}
	}
}

// testServer is a whole server in this process, so that its heap can be looked
// into; its clients are another process, so that theirs is not in it.
type testServer struct {
	t     testing.TB
	app   application
	url   string
	http  *http.Client
	trust []string // environment of clients that trust the server
}

func newTestServer(t testing.TB, secure bool) *testServer {
	t.Helper()
	cfg := defaults()
	cfg.Addr = "127.0.0.1:0"
	s := &testServer{t: t, http: &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}}
	scheme := "http"
	if secure {
		scheme = "https"
		s.certify(cfg)
	}
	var err error
	if s.app, err = app.New(cfg, slog.New(slog.NewTextHandler(io.Discard, nil)), new(metrics.Counter)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.app.Stop(context.Background()) })
	if err := s.app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.url = scheme + "://" + s.app.Addr()
	return s
}

// certify gives the server the certificate that net/http/httptest has for
// 127.0.0.1.
func (s *testServer) certify(cfg *config.Config) {
	lender := httptest.NewTLSServer(http.NotFoundHandler())
	defer lender.Close()
	s.http = lender.Client()
	s.http.Transport.(*http.Transport).DisableKeepAlives = true
	pair := lender.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		s.t.Fatal(err)
	}
	cfg.TLSCert, cfg.TLSKey = filepath.Join(s.t.TempDir(), "cert.pem"), filepath.Join(s.t.TempDir(), "key.pem")
	for name, b := range map[string]*pem.Block{cfg.TLSCert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, cfg.TLSKey: {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(b), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	s.trust = []string{"SSL_CERT_FILE=" + cfg.TLSCert}
}

// warmUp is how many connections come before those that are measured: what a
// server makes once, for its first clients and for as many as connect at the
// same moment, is not a connection's.
const warmUp = 200

// fill opens idle connections, each with one subscription that can be resumed
// where clients can, and returns when all are in.
func (s *testServer) fill(door string, connections int) {
	s.t.Helper()
	want := s.gauge("magpie_subscriptions") + connections
	client := start(s.t, s.trust, "bench", "--url", s.url, "--door", door, "--recoverable", "-n", strconv.Itoa(connections), "--rate", "0", "--duration", "10m")
	for end := time.Now().Add(time.Minute); s.gauge("magpie_subscriptions") < want; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("%d of %d subscriptions; the client said %s", s.gauge("magpie_subscriptions"), want, client.err.text())
		}
	}
}

// settled is hold once the goroutines that come and go have gone: those of
// requests and handshakes.
func (s *testServer) settled() held {
	h := hold()
	for range 100 {
		time.Sleep(20 * time.Millisecond)
		again := hold()
		if again.all >= h.all {
			return again
		}
		h = again
	}
	return h
}

func (s *testServer) gauge(name string) int {
	s.t.Helper()
	resp, err := s.http.Get(s.url + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				s.t.Fatal(err)
			}
			return int(v)
		}
	}
	s.t.Fatalf("there is no %s", name)
	return 0
}

// table is what one of many connections holds, the largest first.
func (h held) table(before held, connections int) string {
	n := float64(connections)
	type row struct {
		site
		bytes, objects float64
	}
	var rows []row
	var all, rest row
	for s, a := range h.sites {
		r := row{s, float64(a.bytes-before.sites[s].bytes) / n, float64(a.objects-before.sites[s].objects) / n}
		all.bytes, all.objects = all.bytes+r.bytes, all.objects+r.objects
		rows = append(rows, r)
	}
	small := max(8, all.bytes/200)
	rows = slices.DeleteFunc(rows, func(r row) bool {
		if r.bytes >= small {
			return false
		}
		rest.bytes, rest.objects = rest.bytes+r.bytes, rest.objects+r.objects
		return true
	})
	slices.SortFunc(rows, func(x, y row) int {
		return cmp.Or(cmp.Compare(y.bytes, x.bytes), strings.Compare(x.pkg+x.function, y.pkg+y.function))
	})
	var b strings.Builder
	fmt.Fprintf(&b, "| bytes | objects | package | allocated by |\n|---|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %.0f | %.2f | `%s` | `%s` |\n", r.bytes, r.objects, r.pkg, r.function)
	}
	fmt.Fprintf(&b, "| %.0f | %.2f | | the rest, below %.0f bytes each |\n| **%.0f** | **%.2f** | | **heap in all** |\n", rest.bytes, rest.objects, small, all.bytes, all.objects)
	fmt.Fprintf(&b, "| %.0f | %.2f | | stacks of goroutines%s |\n", float64(h.stacks-before.stacks)/n, float64(h.all-before.all)/n, h.errands(before, connections))
	return b.String()
}

// errands names the goroutines that there is one of for a connection.
func (h held) errands(before held, connections int) string {
	var names []string
	for name, n := range h.goroutines {
		if n-before.goroutines[name] > connections/2 {
			names = append(names, "`"+name+"`")
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return ""
	}
	return ": " + strings.Join(names, ", ")
}

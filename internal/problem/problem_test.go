package problem

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"magpie/internal/fault"
)

// kinds reads the constants of type Kind out of the source of package fault:
// Go has no list of them, and a list kept by hand would be forgotten.
func kinds(t *testing.T) (all []fault.Kind) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../fault/fault.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || len(v.Values) != 1 {
			return true
		}
		if typ, ok := v.Type.(*ast.Ident); ok && typ.Name == "Kind" {
			word, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, fault.Kind(word))
		}
		return true
	})
	if len(all) < 10 {
		t.Fatalf("found %d kinds only", len(all))
	}
	return all
}

// The test fails when a kind is added without a row.
func TestEveryKindHasARow(t *testing.T) {
	all := kinds(t)
	for _, k := range all {
		if table[k].status < 400 || http.StatusText(table[k].status) == "" {
			t.Errorf("%s has the status %d", k, table[k].status)
		}
		p := Of(fmt.Errorf("x: %w", fault.New(k, "do this")))
		if p.Status != table[k].status || p.Message != "do this" || p.Code != string(k) && p.Code != badHandshake {
			t.Errorf("%s: %+v", k, p)
		}
	}
	if len(all) != len(table) {
		t.Errorf("%d kinds and %d rows", len(all), len(table))
	}
}

func TestHeaders(t *testing.T) {
	for _, c := range []struct {
		fault         fault.Fault
		header, value string
	}{
		{fault.Fault{Kind: fault.TokenNeeded}, "WWW-Authenticate", "Bearer"},
		{fault.Fault{Kind: fault.BadToken}, "WWW-Authenticate", "Bearer"},
		{fault.Fault{Kind: fault.TokenExpired}, "WWW-Authenticate", "Bearer"},
		{fault.Fault{Kind: fault.Revoked}, "WWW-Authenticate", "Bearer"},
		{fault.Fault{Kind: fault.BadKey}, "", ""}, // a key is no bearer token
		{fault.Fault{Kind: fault.Forbidden}, "", ""},
		{fault.Fault{Kind: fault.Unavailable}, "", ""},
		// Seconds, rounded up: whoever comes back too early is refused again.
		{fault.Fault{Kind: fault.Unavailable, Wait: time.Nanosecond}, "Retry-After", "1"},
		{fault.Fault{Kind: fault.Unavailable, Wait: time.Second}, "Retry-After", "1"},
		{fault.Fault{Kind: fault.Shutdown, Wait: time.Second + 1}, "Retry-After", "2"},
		{fault.Fault{Kind: fault.Limit, Wait: time.Minute}, "Retry-After", "60"},
	} {
		if p := Of(&c.fault); p.Header != c.header || p.Value != c.value {
			t.Errorf("%+v: %q: %q", c.fault, p.Header, p.Value)
		}
	}
}

func TestAnswer(t *testing.T) {
	w := httptest.NewRecorder()
	Write(w, &fault.Fault{Kind: fault.Unavailable, Wait: time.Second, Message: `say "again"`, Cause: errors.New("dial tcp 10.0.0.1")})
	if got, want := w.Body.String(), `{"error":{"code":"unavailable","message":"say \"again\""}}`+"\n"; w.Code != 503 || got != want {
		t.Errorf("%d %s", w.Code, got)
	}
	for name, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store",
		"X-Content-Type-Options": "nosniff", "Retry-After": "1"} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A defect of ours is logged, and the client is not told of what it is made.
func TestHandle(t *testing.T) {
	for _, c := range []struct {
		err            error
		status, logged int
	}{
		{nil, 200, 0},
		{errors.New("dial tcp 10.0.0.1"), 500, 1},
		{fmt.Errorf("x: %w", fault.New(fault.Forbidden, "no")), 403, 0},
		{fmt.Errorf("x: %w", New(418, "teapot", "I am one.")), 418, 0},
	} {
		var log strings.Builder
		w := httptest.NewRecorder()
		h := Handle(slog.New(slog.NewTextHandler(&log, nil)), func(http.ResponseWriter, *http.Request) error { return c.err })
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != c.status || strings.Count(log.String(), "\n") != c.logged || strings.Contains(w.Body.String(), "10.0.0.1") {
			t.Errorf("%v: %d %s, log %q", c.err, w.Code, w.Body, log.String())
		}
	}
}

package tagfilter_test

import (
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/centrifugal/protocol"
	"go.uber.org/goleak"

	"magpie/internal/protocol/centrifuge/tagfilter"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type node = protocol.FilterNode

func leaf(key, cmp, val string, vals ...string) *node {
	return &node{Key: key, Cmp: cmp, Val: val, Vals: vals}
}

func TestFiltersMatchAsTheProtocolSays(t *testing.T) {
	tags := map[string]string{"ticker": "AAPL", "price": "187.20", "empty": "", "text": "abc"}
	for _, c := range []struct {
		n    *node
		want bool
	}{
		{leaf("ticker", "eq", "AAPL"), true},
		{leaf("ticker", "eq", "GOOG"), false},
		{leaf("gone", "eq", "AAPL"), false},
		{leaf("ticker", "neq", "GOOG"), true},
		{leaf("ticker", "neq", "AAPL"), false},
		{leaf("gone", "neq", "AAPL"), true}, // a missing tag is always another
		{leaf("ticker", "in", "", "GOOG", "AAPL"), true},
		{leaf("ticker", "in", "", "GOOG"), false},
		{leaf("gone", "in", "", ""), true}, // compared as an empty text
		{leaf("ticker", "nin", "", "GOOG"), true},
		{leaf("ticker", "nin", "", "AAPL"), false},
		{leaf("gone", "nin", "", ""), false},
		{leaf("empty", "ex", ""), true},
		{leaf("gone", "ex", ""), false},
		{leaf("gone", "nex", ""), true},
		{leaf("empty", "nex", ""), false},
		{leaf("text", "sw", "ab"), true},
		{leaf("text", "sw", "bc"), false},
		{leaf("gone", "sw", "a"), false},
		{leaf("text", "ew", "bc"), true},
		{leaf("text", "ew", "ab"), false},
		{leaf("text", "ct", "b"), true},
		{leaf("text", "ct", "x"), false},
		{leaf("price", "gt", "99"), true},
		{leaf("price", "gt", "187.2"), false},
		{leaf("price", "gte", "187.2"), true},
		{leaf("price", "lt", "1000"), true},
		{leaf("price", "lte", "187.1999"), false},
		{leaf("text", "lt", "1"), false},
		{leaf("gone", "lt", "1"), false},
		{leaf("price", "lt", "much"), false},
		{&node{Op: "and", Nodes: []*node{leaf("ticker", "eq", "AAPL"), leaf("price", "gt", "1")}}, true},
		{&node{Op: "and", Nodes: []*node{leaf("ticker", "eq", "AAPL"), leaf("price", "lt", "1")}}, false},
		{&node{Op: "or", Nodes: []*node{leaf("ticker", "eq", "X"), leaf("price", "gt", "1")}}, true},
		{&node{Op: "or", Nodes: []*node{leaf("ticker", "eq", "X")}}, false},
		{&node{Op: "not", Nodes: []*node{leaf("ticker", "eq", "X")}}, true},
	} {
		f, err := tagfilter.Compile(c.n)
		if err != nil {
			t.Errorf("%v: %v", c.n, err)
			continue
		}
		if got := f.Match(tags); got != c.want {
			t.Errorf("%v: %v", c.n, got)
		}
	}
}

func nested(depth int) *node {
	n := leaf("a", "eq", "b")
	for range depth - 1 {
		n = &node{Op: "not", Nodes: []*node{n}}
	}
	return n
}

func wide(leaves int) *node {
	n := &node{Op: "or"}
	for range leaves {
		n.Nodes = append(n.Nodes, leaf("a", "eq", "b"))
	}
	return n
}

func TestFiltersThatAreNoneOrTooMuchAreRefused(t *testing.T) {
	for name, n := range map[string]*node{
		"nothing":             nil,
		"empty":               {},
		"unknown op":          {Op: "xor", Nodes: []*node{leaf("a", "eq", "b")}},
		"unknown cmp":         leaf("a", "like", "b"),
		"no key":              leaf("", "eq", "b"),
		"no val":              leaf("a", "eq", ""),
		"no vals":             leaf("a", "in", ""),
		"and of nothing":      {Op: "and"},
		"not of two":          {Op: "not", Nodes: []*node{leaf("a", "eq", "b"), leaf("a", "eq", "b")}},
		"a missing node":      {Op: "and", Nodes: []*node{nil}},
		"too deep":            nested(9),
		"very deep":           nested(10_000),
		"too wide":            wide(64),
		"too many values":     leaf("a", "in", "", strings.Split(strings.Repeat("x,", 256), ",")...),
		"too long":            leaf("a", "eq", strings.Repeat("x", 4<<10)),
		"too long all in all": leaf("a", "in", "", strings.Repeat("x", 3<<10), strings.Repeat("y", 3<<10)),
	} {
		if _, err := tagfilter.Compile(n); !errors.Is(err, tagfilter.ErrFilter) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, n := range map[string]*node{"deep": nested(8), "wide": wide(63)} {
		if _, err := tagfilter.Compile(n); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Decimals agree with exact arithmetic, where both know the number.
func FuzzDecimals(f *testing.F) {
	for _, s := range []string{"0", "-0", "00.10", "1e5", "9007199254740993", "9007199254740992.5", "+3", ".5", "5.", "-1.50", "a", ""} {
		f.Add(s, "1")
		f.Add("-1", s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a) > 100 || len(b) > 100 {
			return // more than the reference below is asked to do
		}
		n, err := tagfilter.Compile(leaf("k", "lt", b))
		if err != nil {
			return
		}
		got := n.Match(map[string]string{"k": a})
		if x, y := exact(a), exact(b); (x != nil && y != nil && x.Cmp(y) < 0) != got {
			t.Fatalf("%q < %q: %v", a, b, got)
		}
	})
}

func exact(s string) *big.Rat {
	if strings.Trim(s, "+-.0123456789") != "" || strings.HasSuffix(s, ".") || strings.HasPrefix(strings.TrimLeft(s, "+-"), ".") {
		return nil
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return nil
	}
	return r
}

// Matching runs once per message and receiver.
func TestMatchingAllocatesNothing(t *testing.T) {
	f, err := tagfilter.Compile(&node{Op: "and", Nodes: []*node{leaf("a", "gte", "10.5"), leaf("b", "in", "", "x", "y")}})
	if err != nil {
		t.Fatal(err)
	}
	tags := map[string]string{"a": "0011.0", "b": "y"}
	if n := testing.AllocsPerRun(100, func() {
		if !f.Match(tags) {
			t.Error("no match")
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

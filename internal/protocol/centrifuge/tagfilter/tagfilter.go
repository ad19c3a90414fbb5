// Package tagfilter decides which messages a subscription gets by their tags:
// the filter expressions of the Centrifuge protocol (client.proto,
// FilterNode), checked and compiled once.
//
// A filter saves bandwidth; it protects nothing. It keeps no state and starts
// no goroutine.
package tagfilter

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/centrifugal/protocol"
)

// ErrFilter is what Compile's errors wrap.
var ErrFilter = errors.New("filter not accepted")

// Limits of one filter. It is evaluated for every message and receiver.
const (
	maxNodes  = 64
	maxDepth  = 8
	maxValues = 256     // of in and nin, in all nodes together
	maxBytes  = 4 << 10 // of all keys and values together
)

// Filter is a compiled expression. It never changes.
type Filter struct{ root test }

// Match tells whether a message with these tags passes. It does not allocate.
func (f *Filter) Match(tags map[string]string) bool { return f.root(tags) }

type test func(tags map[string]string) bool

// Compile checks an expression and copies what it needs of it.
func Compile(n *protocol.FilterNode) (*Filter, error) {
	c := compiler{nodes: maxNodes, values: maxValues, bytes: maxBytes}
	root, err := c.compile(n, maxDepth)
	if err != nil {
		return nil, err
	}
	return &Filter{root}, nil
}

// compiler counts down what a filter may still use.
type compiler struct{ nodes, values, bytes int }

func (c *compiler) compile(n *protocol.FilterNode, depth int) (test, error) {
	c.nodes--
	switch {
	case n == nil:
		return nil, fmt.Errorf("%w: a node is missing", ErrFilter)
	case depth == 0 || c.nodes < 0:
		return nil, fmt.Errorf("%w: more than %d nodes, or deeper than %d", ErrFilter, maxNodes, maxDepth)
	case n.Op == "":
		return c.leaf(n)
	}
	return c.branch(n, depth)
}

func (c *compiler) branch(n *protocol.FilterNode, depth int) (test, error) {
	if len(n.Nodes) == 0 || n.Op == "not" && len(n.Nodes) != 1 {
		return nil, fmt.Errorf("%w: not has one node below it, and and or at least one", ErrFilter)
	}
	list := make([]test, 0, min(len(n.Nodes), maxNodes))
	for _, below := range n.Nodes {
		t, err := c.compile(below, depth-1)
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	switch n.Op {
	case "and":
		return func(tags map[string]string) bool {
			return !slices.ContainsFunc(list, func(t test) bool { return !t(tags) })
		}, nil
	case "or":
		return func(tags map[string]string) bool {
			return slices.ContainsFunc(list, func(t test) bool { return t(tags) })
		}, nil
	case "not":
		return func(tags map[string]string) bool { return !list[0](tags) }, nil
	}
	return nil, fmt.Errorf("%w: op is and, or, not, or empty for a comparison", ErrFilter)
}

func (c *compiler) leaf(n *protocol.FilterNode) (test, error) {
	compare, known := comparisons[n.Cmp]
	many := n.Cmp == "in" || n.Cmp == "nin"
	exists := n.Cmp == "ex" || n.Cmp == "nex"
	switch {
	case !known:
		return nil, fmt.Errorf("%w: cmp is none of eq, neq, in, nin, ex, nex, sw, ew, ct, lt, lte, gt, gte", ErrFilter)
	case n.Key == "":
		return nil, fmt.Errorf("%w: a comparison needs a key", ErrFilter)
	case many && len(n.Vals) == 0:
		return nil, fmt.Errorf("%w: in and nin need vals", ErrFilter)
	case !many && !exists && n.Val == "":
		return nil, fmt.Errorf("%w: this comparison needs a val", ErrFilter)
	}
	key, l := strings.Clone(n.Key), &leaf{val: strings.Clone(n.Val)}
	c.bytes -= len(n.Key) + len(n.Val)
	c.values -= len(n.Vals)
	if c.values < 0 {
		return nil, fmt.Errorf("%w: more than %d vals", ErrFilter, maxValues)
	}
	for _, v := range n.Vals {
		c.bytes -= len(v)
		l.vals = append(l.vals, strings.Clone(v))
	}
	if c.bytes < 0 {
		return nil, fmt.Errorf("%w: keys and values of more than %d bytes", ErrFilter, maxBytes)
	}
	return func(tags map[string]string) bool {
		tag, has := tags[key]
		return compare(l, tag, has)
	}, nil
}

// leaf is what one tag is compared with.
type leaf struct {
	val  string
	vals []string
}

// comparison tells whether a tag, which is "" when it is not there, passes.
type comparison func(l *leaf, tag string, has bool) bool

var comparisons = map[string]comparison{
	"eq":  func(l *leaf, tag string, has bool) bool { return has && tag == l.val },
	"neq": func(l *leaf, tag string, has bool) bool { return !has || tag != l.val },
	"in":  func(l *leaf, tag string, _ bool) bool { return slices.Contains(l.vals, tag) },
	"nin": func(l *leaf, tag string, _ bool) bool { return !slices.Contains(l.vals, tag) },
	"ex":  func(_ *leaf, _ string, has bool) bool { return has },
	"nex": func(_ *leaf, _ string, has bool) bool { return !has },
	"sw":  func(l *leaf, tag string, has bool) bool { return has && strings.HasPrefix(tag, l.val) },
	"ew":  func(l *leaf, tag string, has bool) bool { return has && strings.HasSuffix(tag, l.val) },
	"ct":  func(l *leaf, tag string, has bool) bool { return has && strings.Contains(tag, l.val) },
	"lt":  func(l *leaf, tag string, _ bool) bool { c, ok := compareDecimals(tag, l.val); return ok && c < 0 },
	"lte": func(l *leaf, tag string, _ bool) bool { c, ok := compareDecimals(tag, l.val); return ok && c <= 0 },
	"gt":  func(l *leaf, tag string, _ bool) bool { c, ok := compareDecimals(tag, l.val); return ok && c > 0 },
	"gte": func(l *leaf, tag string, _ bool) bool { c, ok := compareDecimals(tag, l.val); return ok && c >= 0 },
}

// Numbers are compared as they are written, digit by digit: a price of twenty
// digits stays exact, and a number of a million digits costs no more than
// reading it.

// decimal is a number without leading and trailing zeros. There is one zero, and
// its sign is 1.
type decimal struct {
	sign            int
	whole, fraction string
}

// compareDecimals compares two decimal numbers; false when one is none.
func compareDecimals(a, b string) (int, bool) {
	x, ok := parseDecimal(a)
	y, too := parseDecimal(b)
	if x.sign != y.sign {
		return x.sign, ok && too
	}
	return x.sign * cmp.Or(cmp.Compare(len(x.whole), len(y.whole)), strings.Compare(x.whole, y.whole), strings.Compare(x.fraction, y.fraction)), ok && too
}

// parseDecimal reads digits with a sign and a point, both optional. Exponents
// are no decimal notation.
func parseDecimal(s string) (d decimal, ok bool) {
	d.sign = 1
	s, negative := strings.CutPrefix(s, "-")
	if !negative {
		s = strings.TrimPrefix(s, "+")
	}
	whole, fraction, pointed := strings.Cut(s, ".")
	if whole == "" || pointed && fraction == "" || !isDigits(whole) || !isDigits(fraction) {
		return d, false
	}
	d.whole, d.fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
	if negative && (d.whole != "" || d.fraction != "") {
		d.sign = -1
	}
	return d, true
}

func isDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// logsUnderLock returns a sentence for each line that a function logs while it
// holds a lock: one whose name ends in Locked, or between Lock and Unlock. It
// reads a function from top to bottom and follows no calls.
func logsUnderLock(f *ast.File) (wrong []string) {
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		held := strings.HasSuffix(fn.Name.Name, "Locked")
		deferred := map[ast.Node]bool{}
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncLit: // it may run later
				return false
			case *ast.DeferStmt:
				deferred[n.Call] = true
			case *ast.CallExpr:
				switch name, of := called(n); {
				case deferred[n]:
				case name == "Lock" || name == "RLock":
					held = true
				case name == "Unlock" || name == "RUnlock":
					held = strings.HasSuffix(fn.Name.Name, "Locked")
				case held && strings.EqualFold(of, "log") && slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, name):
					wrong = append(wrong, fmt.Sprintf("%s logs under a lock", fn.Name.Name))
				}
			}
			return true
		})
	}
	return wrong
}

// called is the method of a call, and the last word of what it is called on.
func called(call *ast.CallExpr) (name, of string) {
	s, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	switch x := s.X.(type) {
	case *ast.Ident:
		of = x.Name
	case *ast.SelectorExpr:
		of = x.Sel.Name
	}
	return s.Sel.Name, of
}

// Under a lock there is memory only (docs/concurrency.md).
func TestNobodyLogsUnderALock(t *testing.T) {
	for _, p := range list(t) {
		for _, f := range p.files {
			for _, w := range logsUnderLock(f) {
				t.Errorf("%s: %s", p.name(), w)
			}
		}
	}
}

func TestLogsUnderALockAreFound(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "x.go", `package x
func (a *A) oneLocked() { a.Log.Warn("x") }
func (a *A) two() { a.mu.Lock(); defer a.mu.Unlock(); a.log.Info("x") }
func (a *A) three() { a.mu.Lock(); if a.x { log.Error("x") }; a.mu.Unlock(); log.Error("y") }
func (a *A) fine() { a.mu.Lock(); a.mu.Unlock(); a.log.Info("x"); go func() { a.mu.Lock() }() }
`, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := logsUnderLock(f); len(got) != 3 {
		t.Errorf("%q", got)
	}
}

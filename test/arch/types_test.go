package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	mostFields  = 15
	mostMethods = 12
)

// sizes returns a sentence for each type that is larger than it should be and
// whose comment does not say why.
func sizes(all []pkg) (wrong []string) {
	excuse := regexp.MustCompile(`(?i)\b(because|reason)\b`)
	for _, p := range all {
		methods := map[string]int{}
		for _, f := range p.files {
			for _, d := range f.Decls {
				if m, ok := d.(*ast.FuncDecl); ok && m.Recv != nil && m.Name.IsExported() {
					methods[receiver(m)]++
				}
			}
		}
		types(p, func(s *ast.TypeSpec, doc string) {
			fields := 0
			if st, ok := s.Type.(*ast.StructType); ok {
				for _, f := range st.Fields.List {
					fields += max(1, len(f.Names))
				}
			}
			if (fields > mostFields || methods[s.Name.Name] > mostMethods) && !excuse.MatchString(doc) {
				wrong = append(wrong, fmt.Sprintf("%s.%s has %d fields and %d exported methods; make it smaller, or say in its comment for what reason it is not",
					p.name(), s.Name.Name, fields, methods[s.Name.Name]))
			}
		})
	}
	return wrong
}

func receiver(m *ast.FuncDecl) string {
	e := m.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// types calls do with each type that a package declares, and its comment.
func types(p pkg, do func(*ast.TypeSpec, string)) {
	for _, f := range p.files {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			for _, s := range g.Specs {
				s := s.(*ast.TypeSpec)
				do(s, g.Doc.Text()+s.Doc.Text())
			}
		}
	}
}

func TestLargeTypesSayWhy(t *testing.T) {
	for _, w := range sizes(list(t)) {
		t.Error(w)
	}
}

// The check above must be able to fail.
func TestLargeTypesAreFound(t *testing.T) {
	methods, fields := "", ""
	for i := range mostMethods + 1 {
		methods += fmt.Sprintf("func (*Many[T]) M%d() {}\n", i)
	}
	for i := range mostFields + 1 {
		fields += fmt.Sprintf("f%d int\n", i)
	}
	f, err := parser.ParseFile(token.NewFileSet(), "", "package p\ntype Many[T any] struct{}\n"+methods+"type wide struct {\n"+fields+"}\n"+
		"// explained is wide for the reason that it is a test.\ntype explained struct {\n"+fields+"}\n", parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	if wrong := sizes([]pkg{{ImportPath: "magpie/p", files: []*ast.File{f}}}); len(wrong) != 2 {
		t.Errorf("found %q", wrong)
	}
}

// Below the doors there is no HTTP: what went wrong is a fault, and doors say
// which status that is. (200 is none, and what clients look for.)
func TestHTTPStatusStaysInDoors(t *testing.T) {
	doors := []string{
		"internal/problem", "internal/protocol/*", "internal/protocol/centrifuge/*", "internal/api", "internal/web", "internal/door", "internal/app",
		"cmd/*", "bench/*", "test/*", "test/kit/*",
	}
	for _, p := range list(t) {
		if within(p.name(), doors) {
			continue
		}
		for i, f := range p.files {
			ast.Inspect(f, func(n ast.Node) bool {
				s, ok := n.(*ast.SelectorExpr)
				if !ok || !strings.HasPrefix(s.Sel.Name, "Status") || s.Sel.Name == "StatusOK" {
					return true
				}
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "http" {
					t.Errorf("%s/%s uses http.%s", p.name(), p.GoFiles[i], s.Sel.Name)
				}
				return true
			})
		}
	}
}

// The page about concurrency says of each lock of the server what may be held
// while it is taken.
func TestEveryLockHasItsPlaceInTheOrder(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/concurrency.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list(t) {
		if !strings.HasPrefix(p.name(), "internal/") || p.name() == "internal/bench" || slices.Contains(p.Imports, "testing") {
			continue
		}
		for _, lock := range locks(p) {
			if !strings.Contains(string(page), lock) {
				t.Errorf("%s is not in docs/concurrency.md", lock)
			}
		}
	}
}

// locks are a package's mutexes, as in hub.shard.mu.
func locks(p pkg) (list []string) {
	types(p, func(s *ast.TypeSpec, _ string) {
		st, ok := s.Type.(*ast.StructType)
		if !ok {
			return
		}
		for _, f := range st.Fields.List {
			for _, n := range f.Names {
				if isLock(f.Type) {
					list = append(list, p.files[0].Name.Name+"."+s.Name.Name+"."+n.Name)
				}
			}
		}
	})
	return list
}

func isLock(e ast.Expr) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == "sync" && (s.Sel.Name == "Mutex" || s.Sel.Name == "RWMutex")
}

// Package arch holds the rules about the code itself: which package may
// import which, where the libraries stay, what every package says about
// itself, and that nothing names the machine it was written on.
package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const root = "../.."

type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string // may hold one twice

	files []*ast.File
}

// layers from the bottom up. A package imports from the layers below its own
// only, so no two of one layer know each other.
var layers = [][]string{
	{"internal/fault", "internal/metrics", "internal/build", "internal/spelling", "internal/loopback", "internal/origin", "test/kit"},
	{"internal/logqueue", "internal/descriptors", "internal/message", "internal/channel", "internal/tokenkey", "internal/transport/socket", "internal/engine/redis/names", "internal/engine/redis/throttle", "internal/limit", "test/kit/*"},
	{"internal/engine", "internal/auth", "internal/address", "internal/wheel", "internal/bench", "internal/engine/redis/wire"},
	{"internal/engine/redis/topology", "internal/config"},
	{"internal/engine/redis/script", "internal/engine/redis/diagnose"},
	{"internal/engine/redis/log", "internal/engine/redis/plain", "internal/engine/redis/presence", "internal/engine/redis/ingest", "internal/engine/redis/parttest"},
	{"internal/engine/redis/subscribe"},
	{"internal/engine/*", "internal/hub", "internal/problem"},
	{"internal/session"},
	{"internal/transport/*", "internal/node", "internal/protocol/centrifuge/*"},
	{"internal/door"},
	{"test/kit/stack"},
	{"internal/protocol/*", "internal/api", "internal/web"},
	{"internal/app"},
	{"cmd/*", "test/*", "bench/*"},
}

// walls say who alone may import what, beside tests.
var walls = []struct {
	prefix string
	only   []string
	why    string
}{
	{"github.com/redis/rueidis", []string{"internal/engine/redis/*"}, "the Redis client stays behind the engine"},
	{"github.com/gobwas/", []string{"internal/transport/ws"}, "the WebSocket library stays behind the transport"},
	{"github.com/centrifugal/", []string{"internal/protocol/centrifuge", "internal/protocol/centrifuge/*"}, "the protocol stays behind its door"},
	{"github.com/golang-jwt/", []string{"internal/auth"}, "tokens are read in one place"},
	{"github.com/prometheus/client", []string{"internal/metrics", "internal/app"}, "the rest counts in plain structs"},
	{"github.com/prometheus/procfs", []string{"internal/bench", "bench/*"}, "a server does not measure itself by it"},
	{"github.com/HdrHistogram/", []string{"internal/bench"}, "only a load has percentiles"},
	{"github.com/spf13/cobra", []string{"cmd/*"}, "commands are the outermost layer"},
	{"github.com/coder/websocket", []string{"cmd/*", "test/*", "bench/*"}, "it is the independent client"},
	{"github.com/pires/", []string{"internal/transport/arrival"}, "who speaks for whom is known before a request is"},
	{"golang.org/x/net", []string{"internal/origin"}, "names outside ASCII are read in one place"},
	{"magpie/internal/config", []string{"internal/app", "cmd/*"}, "packages take what they need as their own small struct"},
	{"magpie/internal/engine/memory", []string{"internal/app", "test/kit/stack"}, "the engine is chosen in one place"},
	{"magpie/internal/engine/redis", []string{"internal/app", "cmd/*"}, "the engine is chosen in one place"},
	{"magpie/internal/engine/redis/", []string{"internal/engine/redis", "internal/engine/redis/*", "cmd/*"}, "the parts stay behind the engine"},
	{"magpie/internal/engine/redis/parttest", nil, "it is for tests"},
	{"magpie/test/kit/redistest", []string{"test/*", "bench/*"}, "it is for tests"},
	{"magpie/internal/engine/enginetest", nil, "it is for tests"},
	{"testing", []string{"internal/engine/enginetest", "internal/engine/redis/parttest", "test/kit/*", "test/*", "bench/*"}, "a server does not carry the testing package"},
}

// list is "go list" over the whole module, once.
func list(t *testing.T) []pkg {
	t.Helper()
	all, err := listed()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var listed = sync.OnceValues(func() (all []pkg, err error) {
	cmd := exec.Command("go", "list", "-e", "-find", "-json=ImportPath,Dir,GoFiles", "./...")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, &stderr)
	}
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			return nil, err
		}
		if err := p.parse(); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	if len(all) < 5 {
		return nil, fmt.Errorf("go list found %d packages only", len(all))
	}
	return all, nil
})

// parse reads the package's files. Imports are those of files for this system.
func (p *pkg) parse() error {
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		p.files = append(p.files, f)
		for _, i := range f.Imports {
			p.Imports = append(p.Imports, strings.Trim(i.Path.Value, `"`))
		}
	}
	return nil
}

// name is the package's path inside the module.
func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, "magpie/") }

func within(name string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, name)
		return err == nil && ok
	})
}

// layer finds where a package stands; a name in full goes before a pattern.
func layer(name string) (int, bool) {
	for i, names := range layers {
		if slices.Contains(names, name) {
			return i, true
		}
	}
	for i, names := range layers {
		if within(name, names) {
			return i, true
		}
	}
	return 0, false
}

// checkLayers returns a sentence for each import that does not point down.
func checkLayers(all []pkg) (wrong []string) {
	for _, p := range all {
		name := p.name()
		own, known := layer(name)
		if !known {
			wrong = append(wrong, fmt.Sprintf("%s stands in no layer; give it a place in test/arch", name))
			continue
		}
		for _, i := range p.Imports {
			below, ours := strings.CutPrefix(i, "magpie/")
			if !ours {
				continue
			}
			if l, known := layer(below); known && l >= own {
				wrong = append(wrong, fmt.Sprintf("%s imports %s, which is not below it", name, below))
			}
		}
	}
	return wrong
}

func TestImportsPointDown(t *testing.T) {
	for _, w := range checkLayers(list(t)) {
		t.Error(w)
	}
}

// The check above must be able to fail.
func TestImportsThatPointUpAreFound(t *testing.T) {
	wrong := checkLayers([]pkg{
		{ImportPath: "magpie/internal/message", Imports: []string{"fmt", "magpie/internal/engine"}},
		{ImportPath: "magpie/internal/engine/redis", Imports: []string{"magpie/internal/engine/memory"}},
		{ImportPath: "magpie/internal/util"},
		{ImportPath: "magpie/internal/hub", Imports: []string{"magpie/internal/engine"}},
	})
	if len(wrong) != 3 {
		t.Fatalf("%q", wrong)
	}
}

func TestLibrariesStayBehindTheirPackage(t *testing.T) {
	for _, p := range list(t) {
		name := p.name()
		for _, i := range p.Imports {
			for _, w := range walls {
				whole := i == w.prefix || strings.HasSuffix(w.prefix, "/") && strings.HasPrefix(i, w.prefix) ||
					!strings.HasPrefix(w.prefix, "magpie/") && strings.HasPrefix(i, w.prefix+"/")
				if whole && !within(name, w.only) {
					t.Errorf("%s imports %s: %s", name, i, w.why)
				}
			}
		}
	}
}

// Every package says what it is for, and every one below internal which
// goroutines it starts (or that it starts none).
func TestEveryPackageHasAComment(t *testing.T) {
	for _, p := range list(t) {
		if len(p.GoFiles) == 0 {
			continue
		}
		doc := packageDoc(t, p)
		name := p.name()
		if doc == "" {
			t.Errorf("%s has no package comment", name)
			continue
		}
		if strings.HasPrefix(name, "internal/") && !slices.Contains(p.Imports, "testing") && !strings.Contains(doc, "goroutine") {
			t.Errorf("the comment of %s does not say which goroutines it starts and who stops them", name)
		}
	}
}

func packageDoc(t *testing.T, p pkg) string {
	t.Helper()
	var docs []string
	for _, f := range p.files {
		if f.Doc != nil {
			docs = append(docs, f.Doc.Text())
		}
	}
	if len(docs) > 1 {
		t.Errorf("%s has %d package comments; keep one", p.ImportPath, len(docs))
	}
	return strings.Join(docs, "\n")
}

// Names that say nothing collect what belongs elsewhere.
func TestNoPackageWithoutANoun(t *testing.T) {
	for _, p := range list(t) {
		switch base := path.Base(p.ImportPath); base {
		case "util", "utils", "common", "types", "helpers", "misc", "shared":
			t.Errorf("%s: name it after what it holds", p.ImportPath)
		}
	}
}

// local are marks of one machine and one working place. They are written in
// two parts, so that this file does not find itself.
var local = []string{
	"/wo" + "rk/", "/ro" + "ot/", "/tmp" + "/plan", ".." + "/shared", "registry" + ".npmjs.org", "proxy" + ".golang.org",
}

func TestNothingNamesTheMachineItWasWrittenOn(t *testing.T) {
	kinds := []string{".md", ".go", ".js", ".ts", ".tsx", ".html", ".css", ".json", ".yaml", ".yml", ".lua", ".sh", ".mod", "", ".service"}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case ".git", "node_modules", "bin", "tmp":
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || !slices.Contains(kinds, filepath.Ext(name)) {
			return nil
		}
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a temporary file that went away
		}
		if err != nil {
			return err
		}
		for _, mark := range local {
			if i := bytes.Index(text, []byte(mark)); i >= 0 {
				t.Errorf("%s:%d names %s", name, 1+bytes.Count(text[:i], []byte("\n")), mark)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

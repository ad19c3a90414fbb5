package arch

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// tree is every file and folder of the repository, by its path from the root;
// folders end with a slash.
func tree(t *testing.T) (list []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".git", "node_modules", "bin", "tmp"}, d.Name()) {
			return filepath.SkipDir
		}
		name, err = filepath.Rel(root, name)
		if d.IsDir() {
			name += "/"
		}
		list = append(list, filepath.ToSlash(name))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// inQuotes finds what stands in backquotes and can be a path.
var inQuotes = regexp.MustCompile("`(?:…/)?([a-zA-Z0-9_.][a-zA-Z0-9_./-]*)`")

// placeholder finds what stands for a name, as in internal/protocol/NAME.
var placeholder = regexp.MustCompile(`(^|/)[A-Z]+($|/)`)

// missing returns the paths that a page names and that are not there: a whole
// path, or the end of one, as in `hub/gap.go`.
func missing(page string, all []string) (list []string) {
	for _, m := range inQuotes.FindAllStringSubmatch(page, -1) {
		name := m[1]
		top, _, deep := strings.Cut(name, "/")
		file := slices.Contains([]string{".go", ".lua", ".md", ".ts", ".tsx", ".js", ".mjs", ".yaml", ".css", ".html"}, filepath.Ext(name))
		if placeholder.MatchString(name) || !file && !(deep && slices.Contains(all, top+"/")) {
			continue
		}
		found := slices.ContainsFunc(all, func(path string) bool {
			path = "/" + strings.TrimSuffix(path, "/")
			return strings.HasSuffix(path, "/"+strings.TrimSuffix(name, "/"))
		})
		if !found {
			list = append(list, name)
		}
	}
	return list
}

// The pages about the code name files that are there.
func TestFilesThatPagesNameExist(t *testing.T) {
	all := tree(t)
	for _, page := range []string{"docs/architecture.md", "docs/concurrency.md", "docs/dependencies.md"} {
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range missing(string(text), all) {
			t.Errorf("%s names %s, which is not there", page, name)
		}
	}
}

func TestFilesThatAreNotThereAreFound(t *testing.T) {
	page := "`internal/hub/gap.go` `hub/gap.go` `gap.go` `internal/hub` `internal/nowhere` `nowhere.go` `net/http` `hub/nowhere.go` `/websocket` `chan.go` `internal/NAME`"
	got := missing(page, []string{"internal/", "internal/hub/", "internal/hub/gap.go", "internal/hub/chan.go"})
	if want := []string{"internal/nowhere", "nowhere.go", "hub/nowhere.go"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// docs/security.md names tests that there are.
func TestSecurityPageNamesTests(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git" || d.Name() == "bin") {
			return fs.SkipDir
		}
		all[filepath.Base(path)] = true
		if strings.HasSuffix(path, "_test.go") {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range testName.FindAllStringSubmatch(string(text), -1) {
				all[m[1]] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := testWord.FindAllStringSubmatch(string(page), -1)
	if len(named) < 50 {
		t.Errorf("only %d tests are named", len(named))
	}
	for _, m := range named {
		if !all[m[1]] {
			t.Errorf("%s is named and not there", m[1])
		}
	}
}

var (
	testName = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	testWord = regexp.MustCompile("`(Test\\w+|[\\w-]+\\.test\\.[jt]s)`")
)

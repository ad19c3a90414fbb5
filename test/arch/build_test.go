package arch

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A first build without npm's registry fails with what one can do.
func TestABuildWithoutTheRegistrySaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	for _, folder := range []string{"scripts", "web/chat/src", "bin"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"scripts/build-web", "scripts/npm-ci", "web/chat/package-lock.json"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		write(name, string(text))
	}
	write("bin/npm", "#!/bin/sh\necho 'npm error network' >&2\nexit 1\n")
	write("bin/node", "#!/bin/sh\n")
	cmd := exec.Command(filepath.Join(dir, "scripts/build-web"))
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("the build did not fail")
	}
	for _, want := range []string{"npm error network", "npm_config_registry=", "node_modules", "go build -o bin/magpie ./cmd/magpie"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
}

// Package proxy runs a real node behind real proxies, each with the
// configuration that docs/operations.md shows, and with those that compress.
package proxy

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	_ "magpie/internal/app" // so that a cached result is not one of another binary
	"magpie/test/kit"
)

func TestMain(m *testing.M) { kit.Main(m) }

// kind is one proxy. start runs it between two addresses, as docs/operations.md
// shows it; with compress it compresses beyond that all that it may.
type kind struct {
	name  string
	start func(t *testing.T, listen, node string, compress bool) *kit.Process
}

var kinds = []kind{{"nginx", nginx}, {"caddy", caddy}, {"haproxy", haproxy}}

// front is a proxy that runs.
type front struct {
	*kit.Process
	addr string
}

// start runs a proxy in front of a node and waits until it answers.
func start(t *testing.T, k kind, node string, compress bool) front {
	t.Helper()
	addr := kit.FreeAddr(t)
	f := front{k.start(t, addr, node, compress), addr}
	kit.Eventually(t, k.name+" answers", func() bool {
		if f.Ended() {
			t.Fatalf("%s ended:\n%s", k.name, f.Output())
		}
		status, _ := kit.At(t, addr).Get("/livez")
		return status == http.StatusOK
	})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s wrote:\n%s", k.name, f.Output())
		}
	})
	return f
}

func nginx(t *testing.T, listen, node string, compress bool) *kit.Process {
	site := replace(t, shown(t, "nginx"), "listen 80;", "listen "+listen+";", "127.0.0.1:8080", node)
	if compress {
		site = "gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any; gzip_http_version 1.0;\n" + site
	}
	dir := t.TempDir()
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		site = name + "_temp_path " + filepath.Join(dir, name) + ";\n" + site
	}
	// One process, so that it stays the user that runs the tests.
	text := "daemon off; master_process off; error_log stderr warn; pid " + dir + "/pid;\nevents {}\nhttp {\naccess_log off;\n" + site + "}\n"
	return kit.Run(t, exec.Command(program(t, "nginx"), "-p", dir, "-e", "stderr", "-c", file(t, dir, "nginx.conf", text)))
}

// caddy compresses as the page shows it.
func caddy(t *testing.T, listen, node string, _ bool) *kit.Process {
	host, port, _ := strings.Cut(listen, ":")
	site := replace(t, shown(t, "caddyfile"), "chat.example.com {", "http://:"+port+" {\n\tbind "+host, "127.0.0.1:8080", node)
	dir := t.TempDir()
	cmd := exec.Command(program(t, "caddy"), "run", "--adapter", "caddyfile", "--config", file(t, dir, "Caddyfile", "{\n\tadmin off\n}\n"+site))
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	return kit.Run(t, cmd)
}

func haproxy(t *testing.T, listen, node string, compress bool) *kit.Process {
	text := replace(t, shown(t, "haproxy"), "bind :80\n", "bind "+listen+"\n", "127.0.0.1:8080", node)
	if compress {
		text = replace(t, text, "mode http\n", "mode http\n    compression algo gzip\n    compression type text/html text/event-stream application/json application/octet-stream\n")
	}
	return kit.Run(t, exec.Command(program(t, "haproxy"), "-db", "-f", file(t, t.TempDir(), "haproxy.cfg", text)))
}

// compression is a server in Node with the middleware that most of them have.
func compression(t *testing.T, listen, node string, _ bool) *kit.Process {
	if _, err := os.Stat("node_modules/compression"); err != nil {
		t.Fatal("the npm packages of test/proxy are missing: run make deps")
	}
	return kit.Run(t, exec.Command(program(t, "node"), "compression.mjs", listen, node))
}

// program finds a program, also where only root's PATH leads.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if path = filepath.Join("/usr/sbin", name); exec.Command(path, "-v").Run() != nil {
		t.Fatalf("%s is missing: run make deps", name)
	}
	return path
}

// shown is the configuration in a language that docs/operations.md shows.
func shown(t *testing.T, language string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)\n```"+language+"\n(.*?)```\n").FindAllSubmatch(page, -1)
	if len(blocks) != 1 {
		t.Fatalf("docs/operations.md shows %d configurations in %s, want 1", len(blocks), language)
	}
	return string(blocks[0][1])
}

// replace replaces texts that must be there.
func replace(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%q is not in the configuration:\n%s", pairs[i], text)
		}
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

func file(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

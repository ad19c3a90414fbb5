// Package attack sends the real binary what nobody well-meaning sends: broken
// protocols, floods, slow peers, names and payloads made to be taken for
// commands. Every test also looks at what an attack must not change: the
// process lives, others are served, memory and goroutines come back.
package attack

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	_ "magpie/internal/app" // so that a cached result is not one of another binary
	"magpie/test/kit"
)

func TestMain(m *testing.M) { kit.Main(m) }

// ask returns the answer without its body, which it ends.
func ask(n *kit.Node, method, path, body string, headers ...string) *http.Response {
	res := n.Ask(method, path, body, headers...)
	res.Body.Close()
	return res
}

// measure reads one number of /metrics; the name includes its labels.
func measure(t *testing.T, n *kit.Node, name string) float64 {
	t.Helper()
	_, text := n.Get("/metrics")
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("no measure %s", name)
	return 0
}

// resident is the process's memory in bytes.
func resident(t *testing.T, n *kit.Node) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", n.PID()))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// say sends bytes as they are and returns the status of the first answer; 0
// when the connection ends without one.
func say(n *kit.Node, text string) int {
	c := n.Connect()
	defer c.Close()
	go io.WriteString(c, text) // the server may stop reading before the end
	return status(bufio.NewReader(c))
}

func status(r *bufio.Reader) int {
	for {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return 0
		}
		if res.StatusCode != http.StatusContinue {
			return res.StatusCode
		}
	}
}

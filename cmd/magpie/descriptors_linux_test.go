package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"magpie/test/kit"
)

// With TLS, too, a server whose file descriptors are used up answers: health
// checks as always, and others with 503.
func TestDescriptorsUsedUpWithTLS(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, certFile, keyFile, 1)
	p, url := serve(t, "--tls-cert", certFile, "--tls-key", keyFile)
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	most := uint64(len(open) + 40)
	if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: most, Max: most}, nil); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // what it says is all that matters
	}}
	kit.Eventually(t, "a page is refused", func() bool {
		for range 10 { // which are silent, and closed after some seconds
			if c, err := net.Dial("tcp", strings.TrimPrefix(url, "https://")); err == nil {
				t.Cleanup(func() { c.Close() })
			}
		}
		status, _ := kit.Read(client.Get(url + "/"))
		return status == http.StatusServiceUnavailable
	})
	kit.Eventually(t, "a health check is answered", func() bool {
		status, _ := kit.Read(client.Get(url + "/livez"))
		return status == http.StatusOK
	})
	if text := p.err.text(); !strings.Contains(text, "file descriptors are used up") {
		t.Errorf("the log says\n%s", text)
	}
}

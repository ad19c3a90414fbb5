package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"magpie/test/kit"

	"github.com/golang-jwt/jwt/v5"
)

// pipe is one whose reader is the test, or nobody.
func pipe(t *testing.T) (read, write *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// fill writes until a pipe takes no more.
func fill(t *testing.T, w *os.File) {
	t.Helper()
	_ = w.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := w.Write(make([]byte, 4<<20)); err == nil {
		t.Fatal("the pipe takes too much")
	}
}

// server is the binary with files as its outputs.
type server struct {
	*process
	kit.Doors
}

func serveInto(t *testing.T, stdout, stderr *os.File, args ...string) *server {
	t.Helper()
	s := &server{Doors: kit.Doors{Addr: kit.FreeAddr(t)}}
	cmd := exec.Command(binary, append([]string{"serve", "--addr", s.Addr, "--drain-timeout", "5s"}, args...)...)
	cmd.Env, cmd.Dir = cleanEnviron(), t.TempDir()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	s.process = &process{t: t, cmd: cmd, out: newTranscript(), err: newTranscript(), done: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.done)
		cmd.Wait()
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-s.done
	})
	kit.Eventually(t, "the server is ready", func() bool { status, _ := s.Get("/readyz"); return status == 200 })
	return s
}

var droppedLines = regexp.MustCompile(`(?m)^magpie_log_lines_dropped_total (\S+)$`)

func (s *server) dropped() int {
	_, text := s.Get("/metrics")
	found := droppedLines.FindStringSubmatch(text)
	if found == nil {
		return -1
	}
	n, _ := strconv.ParseFloat(found[1], 64)
	return int(n)
}

// logUntilDropped makes the server write lines until it has dropped some. Each
// SIGHUP is one; those that come too fast are one together.
func (s *server) logUntilDropped() {
	s.t.Helper()
	kit.Eventually(s.t, "lines are dropped", func() bool {
		for range 200 {
			s.signal(syscall.SIGHUP)
		}
		return s.dropped() > 0
	})
}

// works publishes a message and hears it.
func (s *server) works(t *testing.T) {
	t.Helper()
	url := s.URL("")
	listener := start(t, nil, "sub", "--url", url, "chat")
	if r := publishUntilHeard(t, url, listener); r.code != exitOK {
		t.Errorf("%+v", r)
	}
	if status, body := s.Get("/readyz"); status != 200 {
		t.Errorf("readyz: %d %s", status, body)
	}
}

// A log that nobody reads holds up neither deliveries nor the end.
func TestALogThatNobodyReads(t *testing.T) {
	_, stderr := pipe(t)
	s := serveInto(t, nil, stderr)
	s.logUntilDropped()
	s.works(t)
	began := time.Now()
	s.signal(syscall.SIGTERM)
	if code := s.code(); code != exitOK {
		t.Errorf("ended with %d", code)
	}
	if took := time.Since(began); took > kit.Patience {
		t.Errorf("the end took %s", took)
	}
}

// The same for a second signal, which has the server write an error.
func TestASecondSignalBeforeALogThatNobodyReads(t *testing.T) {
	_, stderr := pipe(t)
	s := serveInto(t, nil, stderr, "--drain-delay", "1h")
	s.logUntilDropped()
	s.signal(syscall.SIGTERM)
	kit.Eventually(t, "the server is not ready", func() bool { status, _ := s.Get("/readyz"); return status == 503 })
	s.signal(syscall.SIGTERM)
	if code := s.code(); code != 143 {
		t.Errorf("ended with %d", code)
	}
}

// Nor does standard output hold up anything, as on a terminal that is stopped.
func TestAStandardOutputThatTakesNothing(t *testing.T) {
	_, stdout := pipe(t)
	fill(t, stdout)
	s := serveInto(t, stdout, nil, "--log-format", "text")
	s.works(t)
	s.signal(syscall.SIGTERM)
	if code := s.code(); code != exitOK {
		t.Errorf("ended with %d", code)
	}
}

// When it is read again the lines that waited come, one says how many do not,
// and the last ones of the process are there.
func TestALogThatIsReadAgain(t *testing.T) {
	r, stderr := pipe(t)
	s := serveInto(t, nil, stderr)
	stderr.Close()
	s.logUntilDropped()
	lines := make(chan string, 100_000)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(r); in.Scan(); {
			lines <- in.Text()
		}
	}()
	var said string
	kit.Eventually(t, "a line says how many were dropped", func() bool {
		for {
			select {
			case l := <-lines:
				if strings.Contains(l, "log lines were dropped") {
					said = l
					return true
				}
			default:
				return false
			}
		}
	})
	if !strings.Contains(said, fmt.Sprintf(`"count":%d`, s.dropped())) {
		t.Errorf("%s, and the metric says %d", said, s.dropped())
	}
	s.signal(syscall.SIGTERM)
	if code := s.code(); code != exitOK {
		t.Errorf("ended with %d", code)
	}
	last := ""
	for l := range lines {
		last = l
	}
	if !strings.Contains(last, `"msg":"stopped"`) {
		t.Errorf("the last line is %s", last)
	}
}

// A process that has ended all else waits for a moment for whoever reads its
// last lines.
func TestTheLastLinesAreWaitedFor(t *testing.T) {
	r, stderr := pipe(t)
	fill(t, stderr)
	s := serveInto(t, nil, stderr)
	stderr.Close()
	s.signal(syscall.SIGTERM)
	kit.Eventually(t, "the port is closed", func() bool {
		c, err := net.Dial("tcp", s.Addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	text, err := io.ReadAll(r)
	if code := s.code(); code != exitOK || err != nil || !strings.HasSuffix(string(text), "\"msg\":\"stopped\"}\n") {
		t.Errorf("ended with %d, %v; the last lines are %s", code, err, text[max(0, len(text)-300):])
	}
}

// Whoever read the outputs may go: no SIGPIPE ends a server.
func TestOutputsWhoseReaderHasGone(t *testing.T) {
	for _, gone := range []string{"log", "standard output", "both"} {
		t.Run(gone, func(t *testing.T) {
			outReader, stdout := pipe(t)
			errReader, stderr := pipe(t)
			format := "json"
			if gone != "log" { // then there are hints on standard output
				outReader.Close()
				format = "text"
			}
			s := serveInto(t, stdout, stderr, "--log-format", format)
			if gone != "standard output" {
				errReader.Close()
				s.signal(syscall.SIGHUP)
				kit.Eventually(t, "the line that could not be written is counted", func() bool { return s.dropped() > 0 })
			}
			s.works(t)
			s.signal(syscall.SIGTERM)
			if code := s.code(); code != exitOK {
				t.Errorf("ended with %d", code)
			}
		})
	}
}

// Other commands end as programs in a pipe do.
func TestACommandEndsWithItsReader(t *testing.T) {
	r, stdout := pipe(t)
	r.Close()
	cmd := exec.Command(binary, "config", "doc")
	cmd.Env, cmd.Stdout = cleanEnviron(), stdout
	_ = cmd.Run()
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGPIPE {
		t.Errorf("%v", cmd.ProcessState)
	}
}

// SIGHUP, which a terminal sends as it goes, ends nothing.
func TestHangupWithNothingToReload(t *testing.T) {
	p, url := serve(t)
	p.signal(syscall.SIGHUP)
	p.err.wait(t, p.done, "nothing to reload")
	if r := magpie(t, nil, "pub", "--url", url, "chat", "x"); r.code != exitOK {
		t.Errorf("%+v", r)
	}
	p.signal(syscall.SIGTERM)
	if code := p.code(); code != exitOK || strings.Count(p.err.text(), "SIGHUP") != 1 {
		t.Errorf("%d: %s", code, p.err.text())
	}
}

// SIGHUP reads the certificate and its key again. Files that cannot be used
// change nothing.
func TestHangupReloadsTheCertificate(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, certFile, keyFile, 1)
	p, url := serve(t, "--tls-cert", certFile, "--tls-key", keyFile)
	addr := strings.TrimPrefix(url, "https://")
	if n := serialAt(t, addr); n != 1 {
		t.Fatalf("serial %d", n)
	}
	writeCertificate(t, certFile, keyFile, 2)
	if n := serialAt(t, addr); n != 1 {
		t.Errorf("serial %d before SIGHUP", n)
	}
	p.signal(syscall.SIGHUP)
	p.err.wait(t, p.done, `read="tls_cert, tls_key"`)
	if n := serialAt(t, addr); n != 2 {
		t.Errorf("serial %d after SIGHUP", n)
	}
	if err := os.WriteFile(certFile, []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGHUP)
	p.err.wait(t, p.done, "nothing was reloaded")
	if n := serialAt(t, addr); n != 2 {
		t.Errorf("serial %d after files that cannot be used", n)
	}
}

// SIGHUP reads the public keys again: tokens of the new key get in, those of the
// one before do not. A file that cannot be used changes nothing, also not the
// certificate beside it.
func TestHangupReloadsThePublicKeys(t *testing.T) {
	dir := t.TempDir()
	keys, certFile, keyFile := filepath.Join(dir, "keys.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, certFile, keyFile, 1)
	first, second := writePublicKey(t, keys), ""
	p, url := serve(t, "--token-public-keys", keys, "--tls-cert", certFile, "--tls-key", keyFile)
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	accepted := func(token string) bool {
		res, err := client.Get(url + "/history/chat?token=" + token)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	}
	second = writePublicKey(t, keys)
	if !accepted(first) || accepted(second) {
		t.Error("other keys before SIGHUP")
	}
	p.signal(syscall.SIGHUP)
	p.err.wait(t, p.done, "token_public_keys")
	if accepted(first) || !accepted(second) {
		t.Error("the old keys after SIGHUP")
	}
	if err := os.WriteFile(keys, []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	writeCertificate(t, certFile, keyFile, 2)
	p.signal(syscall.SIGHUP)
	p.err.wait(t, p.done, "nothing was reloaded")
	if !accepted(second) || serialAt(t, strings.TrimPrefix(url, "https://")) != 1 {
		t.Error("something was reloaded")
	}
}

// writePublicKey writes a new key's public half and returns a token that the
// other half signed.
func writePublicKey(t *testing.T, name string) (token string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	token, err = jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"sub": "42", "exp": time.Now().Add(time.Hour).Unix()}).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// serialAt is the serial number of the certificate that a server shows.
func serialAt(t *testing.T, addr string) int64 {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true}) // its number is all that matters
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func writeCertificate(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

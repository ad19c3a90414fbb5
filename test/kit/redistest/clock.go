package redistest

import (
	_ "embed"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"magpie/test/kit"
)

//go:embed testdata/clock.c
var clockSource []byte

// StartClocked is Start of a server whose time of day SetClock moves. It needs
// the C compiler that the race detector needs.
func StartClocked(t testing.TB, args ...string) *Server {
	t.Helper()
	dir := t.TempDir()
	source, library := filepath.Join(dir, "clock.c"), filepath.Join(dir, "clock.so")
	s := &Server{clock: filepath.Join(dir, "offset")}
	for name, content := range map[string][]byte{source: clockSource, s.clock: make([]byte, 8)} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-O1", "-o", library, source).CombinedOutput(); err != nil {
		t.Fatalf("a C compiler is needed, run make deps: %v\n%s", err, out)
	}
	s.env = append(os.Environ(), "LD_PRELOAD="+library, "CLOCK_OFFSET="+s.clock)
	return s.start(t, args)
}

// SetClock sets the server's time of day to the real one and some more, or less.
func (s *Server) SetClock(ahead time.Duration) {
	s.t.Helper()
	f, err := os.OpenFile(s.clock, os.O_WRONLY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(binary.NativeEndian.AppendUint64(nil, uint64(ahead.Microseconds()))); err != nil {
		s.t.Fatal(err)
	}
	kit.Eventually(s.t, "the server's clock is set", func() bool {
		seconds, err := time.ParseDuration(s.Do("EVAL", "return redis.call('TIME')[1]", "0") + "s")
		off := time.Unix(0, 0).Add(seconds).Sub(time.Now().Add(ahead))
		return err == nil && off.Abs() < 2*time.Second
	})
}

package logqueue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// reader is a Writer whose Writes wait for reads, unless that is nil, and fail
// while it is broken.
type reader struct {
	reads  chan struct{}
	broken error
	text   bytes.Buffer
}

func (r *reader) Write(p []byte) (int, error) {
	if r.reads != nil {
		<-r.reads
	}
	if r.broken != nil {
		return 0, r.broken
	}
	return r.text.Write(p)
}

func closeQueue(t *testing.T, q *Queue) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := q.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// Whoever logs goes on while nobody reads. What is dropped is counted, and one
// line says so when lines flow again; those before it are whole and in order.
func TestAReaderWhoHangsHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{reads: make(chan struct{})}
		var q *Queue
		told := 0
		q = Start(r, func(n int) {
			told++
			fmt.Fprintf(q, "dropped %d\n", n)
		})
		const total = 1000
		line := strings.Repeat("x", 990)
		fmt.Fprintf(q, "%06d %s\n", 0, line)
		synctest.Wait() // for the reader's turn, in which it hangs
		for i := range total - 1 {
			fmt.Fprintf(q, "%06d %s\n", i+1, line)
		}
		dropped := int(q.Dropped.Value())
		close(r.reads)
		closeQueue(t, q)
		lines := strings.Split(strings.TrimSuffix(r.text.String(), "\n"), "\n")
		if got, want := lines[len(lines)-1], fmt.Sprintf("dropped %d", dropped); got != want || told != 1 {
			t.Errorf("the last line is %q, want %q; told %d times", got, want, told)
		}
		lines = lines[:len(lines)-1]
		for i, l := range lines {
			if l != fmt.Sprintf("%06d %s", i, line) {
				t.Fatalf("line %d is %.20s", i, l)
			}
		}
		if len(lines)+dropped != total || len(lines) < limit/1000 {
			t.Errorf("%d lines and %d dropped", len(lines), dropped)
		}
	})
}

// A reader who has gone costs the lines, and one who comes later gets what
// follows.
func TestAReaderWhoHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{broken: errors.New("broken pipe")}
		told := 0
		q := Start(r, func(n int) { told = n })
		for range 3 {
			io.WriteString(q, "lost\n")
			synctest.Wait()
		}
		r.broken = nil
		io.WriteString(q, "here\n")
		closeQueue(t, q)
		if r.text.String() != "here\n" || q.Dropped.Value() != 3 || told != 3 {
			t.Errorf("%q, %d dropped, told of %d", &r.text, q.Dropped.Value(), told)
		}
	})
}

// One line that is longer than all that may wait is no reason to drop others.
func TestALineThatNeverFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{}
		q := Start(r, nil)
		q.Write(make([]byte, limit+1))
		synctest.Wait()
		io.WriteString(q, "here\n")
		closeQueue(t, q)
		if r.text.String() != "here\n" || q.Dropped.Value() != 1 {
			t.Errorf("%q, %d dropped", &r.text, q.Dropped.Value())
		}
	})
}

// The end waits for what was written, and no longer than it may.
func TestTheEndHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{reads: make(chan struct{})}
		q := Start(r, nil)
		io.WriteString(q, "last\n")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := q.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		close(r.reads)
		closeQueue(t, q)
		io.WriteString(q, "too late\n")
		if r.text.String() != "last\n" || q.Dropped.Value() != 1 {
			t.Errorf("%q, %d dropped", &r.text, q.Dropped.Value())
		}
	})
}

func TestManyWriters(t *testing.T) {
	r := &reader{}
	q := Start(r, nil)
	log := slog.New(slog.NewJSONHandler(q, nil))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				log.Info("line")
			}
		})
	}
	all.Wait()
	closeQueue(t, q)
	if n := strings.Count(r.text.String(), "\"line\"}\n"); n+int(q.Dropped.Value()) != 1600 {
		t.Errorf("%d lines, %d dropped", n, q.Dropped.Value())
	}
}

// A line costs the one who logs it a copy.
func TestWriteAllocatesNothing(t *testing.T) {
	q := Start(io.Discard, nil)
	defer closeQueue(t, q)
	line := []byte(strings.Repeat("x", 120) + "\n")
	for range 1000 {
		q.Write(line)
	}
	if n := testing.AllocsPerRun(1000, func() { q.Write(line) }); n >= 1 {
		t.Errorf("%v allocations a line", n)
	}
}

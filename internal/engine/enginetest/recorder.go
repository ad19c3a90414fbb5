package enginetest

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"magpie/internal/engine"
	"magpie/internal/message"
)

// Recorder is a Sink that remembers. It has many methods because the half of
// them is the Sink, and the other half asks what came.
type Recorder struct {
	mu       sync.Mutex
	changed  chan struct{} // closed and renewed at each change
	channels map[string]bool
	members  map[string][]engine.Member
	messages map[string][]*message.Message
	signals  []string
	notes    map[string]int64
	rechecks int
}

// NewRecorder returns an empty recorder.
func NewRecorder() *Recorder {
	return &Recorder{changed: make(chan struct{}), channels: map[string]bool{}, members: map[string][]engine.Member{},
		messages: map[string][]*message.Message{}, notes: map[string]int64{}}
}

// Node is an engine.Node whose sink r is, and which admits everything.
func (r *Recorder) Node() engine.Node {
	return engine.Node{Sink: r, Signal: r.signal, Note: r.note, Notes: r.Notes, Admit: func(engine.Publication) error { return nil }}
}

func (r *Recorder) update(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	close(r.changed)
	r.changed = make(chan struct{})
}

func look[T any](r *Recorder, f func() T) T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return f()
}

// Listen makes the sink name the channel as one it listens to.
func (r *Recorder) Listen(name string) { r.update(func() { r.channels[name] = true }) }

// SetMembers says who this node's own members of a channel are.
func (r *Recorder) SetMembers(name string, members ...engine.Member) {
	r.update(func() { r.members[name] = members })
}

// Receive implements engine.Sink.
func (r *Recorder) Receive(m *message.Message) {
	r.update(func() { r.messages[m.Channel] = append(r.messages[m.Channel], m) })
}

// ReceiveInline implements engine.Sink.
func (r *Recorder) ReceiveInline(m *message.Message) { r.Receive(m) }

// Recheck implements engine.Sink.
func (r *Recorder) Recheck(...string) { r.update(func() { r.rechecks++ }) }

func (r *Recorder) note(list []engine.Note) {
	r.update(func() {
		for _, n := range list {
			r.notes[n.Text] = n.Ends
		}
	})
}

// Notes returns the notes that came so far, in no order.
func (r *Recorder) Notes() (list []engine.Note) {
	return look(r, func() (list []engine.Note) {
		for text, ends := range r.notes {
			list = append(list, engine.Note{Text: text, Ends: ends})
		}
		return list
	})
}

func (r *Recorder) signal(data []byte) {
	r.update(func() { r.signals = append(r.signals, string(data)) })
}

// Channels implements engine.Sink.
func (r *Recorder) Channels() iter.Seq[string] {
	return maps.Keys(look(r, func() map[string]bool { return maps.Clone(r.channels) }))
}

// Members implements engine.Sink.
func (r *Recorder) Members(name string) iter.Seq[engine.Member] {
	return slices.Values(look(r, func() []engine.Member { return slices.Clone(r.members[name]) }))
}

// Messages returns what was received for one channel so far, in order.
func (r *Recorder) Messages(name string) []*message.Message {
	return look(r, func() []*message.Message { return slices.Clone(r.messages[name]) })
}

// Signals returns what was received from the bus so far.
func (r *Recorder) Signals() []string {
	return look(r, func() []string { return slices.Clone(r.signals) })
}

// Rechecks returns how often a re-check was asked for.
func (r *Recorder) Rechecks() int { return look(r, func() int { return r.rechecks }) }

// Wait returns the channel's messages once there are n, or fails the test.
func (r *Recorder) Wait(t *testing.T, name string, n int) []*message.Message {
	t.Helper()
	r.WaitFor(t, func() bool { return len(r.Messages(name)) >= n })
	return r.Messages(name)
}

// WaitFor waits until ok holds; it is asked again at every change, and now and
// then for what changes elsewhere. It fails the test after Patience.
func (r *Recorder) WaitFor(t *testing.T, ok func() bool) {
	t.Helper()
	deadline, again := time.NewTimer(Patience), time.NewTicker(20*time.Millisecond)
	defer deadline.Stop()
	defer again.Stop()
	for {
		changed := look(r, func() chan struct{} { return r.changed })
		if ok() {
			return
		}
		select {
		case <-changed:
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("not within %s; received so far: %s", Patience, look(r, func() string {
				return fmt.Sprintf("messages of %d channels, %d re-checks", len(r.messages), r.rechecks)
			}))
		}
	}
}

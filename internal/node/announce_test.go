package node

import (
	"context"
	"iter"
	"slices"
	"testing"

	"magpie/internal/engine"
	"magpie/internal/message"
)

// slowPresence is an engine that notes what it was asked, in order.
type slowPresence struct {
	engine.Engine
	asked []string
}

func (e *slowPresence) Told(_ context.Context, channels iter.Seq[string]) error {
	e.asked = append(e.asked, slices.Collect(channels)...)
	return nil
}

func (e *slowPresence) PublishAll(_ context.Context, all []engine.Publication) []engine.Outcome {
	e.asked = append(e.asked, "publish")
	return make([]engine.Outcome, len(all))
}

// D13: a join is published after presence can be read with it.
func TestD13AJoinIsToldWhenPresenceHasIt(t *testing.T) {
	e := &slowPresence{}
	g := &Gate{engine: e}
	g.Announce(t.Context(), []engine.Publication{{Channel: "a", Kind: message.Join}, {Channel: "b", Kind: message.Leave}})
	if want := []string{"a", "b", "publish"}; !slices.Equal(e.asked, want) {
		t.Errorf("the engine was asked %q", e.asked)
	}
}

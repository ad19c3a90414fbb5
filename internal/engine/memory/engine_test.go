package memory_test

import (
	"testing"

	"go.uber.org/goleak"

	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/engine/enginetest"
	"magpie/internal/engine/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEngine(t *testing.T) {
	enginetest.Run(t, false, func(*testing.T) enginetest.Store {
		return func(_ *testing.T, rules *channel.Rules) engine.Engine {
			return memory.New(memory.Config{Rules: rules, IdempotencyWindow: enginetest.Window})
		}
	})
}

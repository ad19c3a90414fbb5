package bench

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	drainTimeout = 300 * time.Millisecond
	goleak.VerifyTestMain(m)
}

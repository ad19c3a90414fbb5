package web

import (
	"testing"

	"go.uber.org/goleak"
)

// The package starts no goroutine; this holds it to that.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

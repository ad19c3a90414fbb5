package api

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"magpie/internal/engine"
	"magpie/internal/fault"
	"magpie/internal/node"
)

// What a caller is told says what to do and shows nothing of ours.
func TestErrorsHaveTheirCode(t *testing.T) {
	for _, c := range []struct {
		err   error
		code  Code
		words string
	}{
		{fmt.Errorf("channels: %w: more than 64 MB", node.ErrTooMuch), CodeLimit, "pattern"},
		{fmt.Errorf("x: %w: 1 of 2", node.ErrPartial), CodeInternal, "same order again"},
		{fmt.Errorf("x: %w: dial tcp 10.0.0.1", engine.ErrUnavailable), CodeInternal, "Redis does not answer"},
		{fmt.Errorf("x: %w", fault.New(fault.Forbidden, "the rule says nobody")), CodeForbidden, "the rule says nobody"},
		{errors.New("dial tcp 10.0.0.1"), CodeInternal, "log"},
	} {
		e, known := errorOf(c.err)
		if e.Code != c.code || !strings.Contains(e.Message, c.words) || strings.Contains(e.Message, "10.0.0.1") {
			t.Errorf("%v: %d %s", c.err, e.Code, e.Message)
		}
		if known == strings.HasPrefix(c.err.Error(), "dial") {
			t.Errorf("%v: known %v", c.err, known)
		}
		if statuses[e.Code] == 0 || words[e.Code] == "" {
			t.Errorf("code %d has no status or no words", e.Code)
		}
	}
}

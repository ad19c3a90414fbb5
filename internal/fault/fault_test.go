package fault_test

import (
	"errors"
	"testing"

	"magpie/internal/fault"
)

// The text for the log reads as one sentence with its cause.
func TestErrorReadsWell(t *testing.T) {
	for _, test := range []struct {
		f    *fault.Fault
		want string
	}{
		{&fault.Fault{Kind: fault.Unavailable, Message: "Redis refuses writes; try again.", Cause: errors.New("OOM")}, "Redis refuses writes; try again: OOM"},
		{&fault.Fault{Kind: fault.Unavailable, Cause: errors.New("EOF")}, "unavailable: EOF"},
		{&fault.Fault{Kind: fault.BadChannel, Message: "No."}, "No."},
	} {
		if got := test.f.Error(); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

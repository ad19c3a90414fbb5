package problem

import (
	"net/url"
	"slices"
	"strings"

	"magpie/internal/fault"
	"magpie/internal/spelling"
)

// CheckQuery refuses a parameter that nobody knows: a slip of the keyboard
// would otherwise join another channel than the one that was meant. Names that
// begin with _ are left alone, because pages add them against caches.
func CheckQuery(values url.Values, known ...string) error {
	for name := range values {
		if strings.HasPrefix(name, "_") || slices.Contains(known, name) {
			continue
		}
		rest := "those there are: " + strings.Join(known, ", ")
		if near := spelling.Nearest(name[:min(len(name), 64)], known); near != "" {
			rest = "did you mean " + near + "?"
		}
		return fault.Newf(fault.BadParameter, "unknown parameter %q; %s", name[:min(len(name), 64)], rest)
	}
	return nil
}

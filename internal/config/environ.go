package config

import (
	"regexp"
	"slices"
	"strings"

	"magpie/internal/spelling"
)

// injected are the variables that container platforms set for a service that
// is called magpie (MAGPIE_SERVICE_HOST, MAGPIE_PORT=tcp://…) or
// magpie-something. No person wrote them, so they are no mistakes.
var injected = regexp.MustCompile(`^MAGPIE_(\w+_)?(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?|NAME|ENV_\w+)$`)

// readEnviron finds the settings in environ (NAME=value). A variable that is
// set to nothing counts as not set, because compose files write that.
func readEnviron(environ []string) (map[string]raw, Problems) {
	all := make(map[string]raw)
	var p Problems
	known := names((*setting).env)
	for _, line := range environ {
		name, val, _ := strings.Cut(line, "=")
		val = strings.TrimSpace(val)
		if !strings.HasPrefix(name, envPrefix) || slices.Contains(otherVariables, name) {
			continue
		}
		i := slices.Index(known, name)
		switch {
		case i >= 0 && val != "":
			all[settings[i].key] = raw{source: name, texts: []string{val}}
		case i < 0 && !injected.MatchString(name):
			p.addf(name, "there is no such setting; %s", suggestion("", spelling.Nearest(name, append(known, "MAGPIE_CONFIG"))))
		}
	}
	return all, p
}

// Getenv returns a variable of environ (NAME=value), empty when it is not set.
func Getenv(environ []string, name string) string {
	for _, line := range slices.Backward(environ) {
		if val, ok := strings.CutPrefix(line, name+"="); ok {
			return strings.TrimSpace(val)
		}
	}
	return ""
}

// Package build says which Magpie this is.
//
// It does nothing else and starts no goroutine.
package build

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker: -X magpie/internal/build.version=v1.2.3.
var version string

// Version is the released version, the module's own where "go install" built
// it, and "dev" for what was built from a working tree.
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}

// Line is what "magpie version" prints.
func Line() string {
	return fmt.Sprintf("magpie %s (%s, %s/%s)", Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

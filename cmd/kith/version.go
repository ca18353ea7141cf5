package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker: -X main.version=v1.2.3.
var version string

// versionText returns the version, or that of the module, or "devel".
func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  kith version",
		Args:    noArguments,
		Run: func(cmd *cobra.Command, _ []string) {
			io.WriteString(cmd.OutOrStdout(), versionLine())
		},
	}
}

// versionLine returns what kith version prints.
func versionLine() string {
	return fmt.Sprintf("kith %s (%s, %s/%s)\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

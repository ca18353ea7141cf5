//go:build linux

package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// printMachine says what the figures come from.
func printMachine(o *options) {
	fmt.Printf("machine:  %s, %d cores, %.1f GiB of memory (%.1f available), %s, huge pages %s\n", processor(), runtime.NumCPU(),
		gib(memoryLine("MemTotal")), gib(available()), kernel(), chosen("/sys/kernel/mm/transparent_hugepage/enabled"))
	fmt.Printf("load:     %s (averages of 1, 5 and 15 minutes at the start)\n", loadAverage())
	fmt.Printf("versions: %s", runtime.Version())
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if strings.Contains(m.Path, "roaring") || strings.HasSuffix(m.Path, "/btree") {
				fmt.Printf(", %s %s", m.Path, m.Version)
			}
		}
	}
	if o.redis != "" {
		fmt.Printf(", %s", redisVersion(o.redis))
	}
	fmt.Println()
}

func gib(bytes uint64) float64 { return float64(bytes) / (1 << 30) }

func processor() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH // arm64 has no name there
}

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "kernel unknown"
	}
	return unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
}

// chosen returns the word in brackets of one of the kernel's settings.
func chosen(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	_, after, _ := strings.Cut(string(b), "[")
	word, _, _ := strings.Cut(after, "]")
	return word
}

func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(b))[:3], " ")
}

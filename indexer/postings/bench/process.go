//go:build linux

package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime returns the time that this process has had: other processes of a busy
// machine do not count.
func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// residentNow returns the bytes of memory that this process holds, without what
// its heap can give back.
func residentNow() uint64 {
	runtime.GC() // pools keep what they hold over one collection
	debug.FreeOSMemory()
	return residentOf("self")
}

// residentOf returns the bytes of memory that a process holds.
func residentOf(pid string) uint64 {
	b, err := os.ReadFile("/proc/" + pid + "/statm")
	if err != nil {
		return 0
	}
	pages, _ := strconv.ParseUint(strings.Fields(string(b))[1], 10, 64)
	return pages * uint64(os.Getpagesize())
}

// available returns the bytes of memory that processes can still get without
// swapping.
func available() uint64 { return memoryLine("MemAvailable") }

// memoryLine returns a line of /proc/meminfo in bytes, 0 when it is not there.
func memoryLine(name string) uint64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kib, _ := strconv.ParseUint(strings.Fields(rest)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}

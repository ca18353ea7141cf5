package main

import (
	"io"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain puts this test program on PATH under the name kith, where it is the
// command itself: testscript's scripts (script_test.go, testdata/script) say
// `exec kith`, and the end-to-end tests (e2e_*_test.go) start it as anybody
// would. So what is tested is the command as it is built here, with the race
// detector if the tests have it.
//
// The servers that the end-to-end tests share are closed after the last test:
// who needs something closed at that time adds it to closing.Run.
func TestMain(m *testing.M) {
	testscript.Main(closing{m}, map[string]func(){"kith": kithCommand})
}

// closing runs the tests, then closes what they share.
type closing struct{ m *testing.M }

// Run implements testscript.TestingM.
func (c closing) Run() int {
	code := c.m.Run()
	if err := closeServers(); err != nil {
		io.WriteString(os.Stderr, err.Error()+"\n")
		return max(code, 1)
	}
	return code
}

// tetherEnv asks the command to end with whoever holds the other end of file 3,
// so that none outlives the tests, however these end.
const tetherEnv = "E2E_TETHER"

func kithCommand() {
	if os.Getenv(tetherEnv) != "" {
		go func() {
			tether := os.NewFile(3, "tether")
			_, _ = io.Copy(io.Discard, tether)
			os.Exit(exitFailed)
		}()
	}
	main()
}

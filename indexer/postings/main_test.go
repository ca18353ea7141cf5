package postings

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// TestMain has the tests with models draw the same each time, so that whoever breaks
// something sees it fail. In the long run they draw more, and other things each time:
// what fails then tells its seed.
func TestMain(m *testing.M) {
	flag.Parse()
	draws := map[string]string{"rapid.seed": "1", "rapid.nofailfile": "true"}
	if os.Getenv("KITH_TEST_LONG") != "" {
		draws = map[string]string{"rapid.checks": "1000", "rapid.nofailfile": "true"}
	}
	flag.Visit(func(f *flag.Flag) { delete(draws, f.Name) }) // given on the command line
	for name, value := range draws {
		if err := flag.Set(name, value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}

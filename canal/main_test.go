package canal_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kithdb/kith/canal/sandbox"
)

// testLimit bounds a test on one server.
const testLimit = 3 * time.Minute

// long makes what is random or repeated go on for longer: `make test-long`.
var long = os.Getenv("KITH_TEST_LONG") != ""

// auditing has one audit follow another in all tests, none of which may find anything
// but in schemas that rows were changed in without the binlog.
var auditing = os.Getenv("KITH_TEST_AUDIT") != ""

func TestMain(m *testing.M) {
	code := m.Run()
	for _, s := range shared.sources {
		if err := s.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// source is a server that tests follow.
type source struct {
	*sandbox.Server
	gtid bool
}

// shared are the servers that tests share, by how they were started.
var shared = struct {
	mu      sync.Mutex
	sources map[string]*source
}{sources: make(map[string]*source)}

// kinds are the servers of the matrix, MySQL with and without GTIDs.
func kinds(t *testing.T) []sandbox.Options {
	t.Helper()
	matrix, err := sandbox.Matrix()
	if err != nil {
		t.Fatal(err)
	}
	var kinds []sandbox.Options
	for _, binary := range matrix {
		kinds = append(kinds, sandbox.Options{Binary: binary, Fast: true, GTID: true})
		if binary.Flavor == sandbox.MySQL {
			// From 9.5 on they are the default.
			kinds = append(kinds, sandbox.Options{Binary: binary, Fast: true, Args: []string{"--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"}})
		}
	}
	return kinds
}

func kindName(o sandbox.Options) string {
	name := fmt.Sprintf("%s-%s", o.Binary.Flavor, o.Binary.Version)
	if o.Binary.Flavor == sandbox.MySQL && o.GTID {
		name += "-gtid"
	}
	return name
}

// eachSource runs a test on each kind of server, which it shares with others.
func eachSource(t *testing.T, run func(t *testing.T, s *source)) {
	t.Helper()
	eachKind(t, func(t *testing.T, o sandbox.Options) { run(t, sharedSource(t, o)) })
}

// eachKind runs a test on each kind of server, which the test starts itself, on
// several kinds at once: they wait more than they work.
func eachKind(t *testing.T, run func(t *testing.T, o sandbox.Options)) {
	t.Helper()
	for _, o := range kinds(t) {
		t.Run(kindName(o), func(t *testing.T) {
			if !*update { // one file is written by all kinds, one after the other
				t.Parallel()
			}
			run(t, o)
		})
	}
}

func sharedSource(t *testing.T, o sandbox.Options) *source {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	name := o.Binary.Path + kindName(o) + strings.Join(o.Args, " ")
	if s := shared.sources[name]; s != nil {
		return s
	}
	server, err := sandbox.Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	s := &source{server, o.GTID}
	shared.sources[name] = s
	return s
}

// startSource starts a server for one test alone.
func startSource(t *testing.T, o sandbox.Options) *source {
	t.Helper()
	server, err := sandbox.Start(testContext(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return &source{server, o.GTID}
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testLimit)
	t.Cleanup(cancel)
	return ctx
}

// withoutGTIDs turns off what some servers have on by themselves.
func withoutGTIDs(o sandbox.Options) sandbox.Options {
	if o.Binary.Flavor == sandbox.MySQL && !o.GTID {
		o.Args = append(o.Args, "--gtid-mode=OFF", "--enforce-gtid-consistency=OFF")
	}
	return o
}

package sandbox

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// childEnv makes the test program the child of TestDiesWithParent.
const childEnv = "KITH_SANDBOX_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		os.Exit(child(path))
	}
	goleak.VerifyTestMain(m)
}

// child starts a server, says where it is, and waits to be killed.
func child(path string) int {
	binary, err := Find(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s, err := Start(context.Background(), Options{Binary: binary})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(s.dir, s.process.cmd.Process.Pid, s.Socket())
	select {}
}

// eachServer runs a test on every server of the matrix. No server is a
// failure, never a skip.
func eachServer(t *testing.T, run func(t *testing.T, ctx context.Context, b Binary)) {
	t.Helper()
	matrix, err := Matrix()
	if err != nil {
		t.Fatal(err)
	}
	for _, binary := range matrix {
		t.Run(fmt.Sprintf("%s-%s", binary.Flavor, binary.Version), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			run(t, ctx, binary)
		})
	}
}

// start starts a server that is closed with the test.
func start(t *testing.T, ctx context.Context, o Options) *Server {
	t.Helper()
	began := time.Now()
	s, err := Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s answered after %d ms", o.Binary, time.Since(began).Milliseconds())
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(s.dir); !os.IsNotExist(err) {
			t.Errorf("folder %s after Close: %v, want it gone", s.dir, err)
		}
	})
	return s
}

// execute runs statements as the administrator.
func execute(t *testing.T, ctx context.Context, s *Server, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := s.DB().ExecContext(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// count returns the one number that query yields.
func count(t *testing.T, ctx context.Context, s *Server, query string) int {
	t.Helper()
	var n int
	if err := s.DB().QueryRowContext(ctx, query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// eventually waits until cond holds.
func eventually(t *testing.T, ctx context.Context, what string, cond func() bool) {
	t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !cond() {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/canal/sandbox/social"
	"github.com/kithdb/kith/config"
)

// demoOptions are the flags of kith demo.
type demoOptions struct {
	server         string // program; empty: found
	duration       time.Duration
	users, follows int
	rate           int // rows changed a second
}

// check finds what cannot be before anything is started.
func (o demoOptions) check() error {
	room := o.users * (o.users - 1) / 2 // half of all pairs, as social.Load allows
	switch {
	case o.users < 10:
		return fmt.Errorf("--users is %d, and must be at least 10", o.users)
	case o.follows < 0:
		return fmt.Errorf("--follows is %d, and must not be negative", o.follows)
	case o.follows > room:
		return fmt.Errorf("--follows is %d, and %d users have room for %d at most", o.follows, o.users, room)
	case o.rate < 1:
		return fmt.Errorf("--rate is %d, and must be at least 1", o.rate)
	case o.duration < 0:
		return fmt.Errorf("--duration is %s, and must not be negative", o.duration)
	}
	return nil
}

const (
	demoListen   = "127.0.0.1:8080"
	demoPatience = 2 * time.Minute // for a start, a snapshot, or catching up
)

func newDemo() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show kith with a throwaway MySQL or MariaDB server",
		Long: "demo starts a real server of its own on loopback (mysqld or mariadbd), makes a small social network\n" +
			"in it, keeps changing it, follows and serves it, and prints what to try. At the end it compares every\n" +
			"edge with the server, and removes everything again. The exit code is 1 if an edge differs.",
		Example: "  kith demo\n  kith demo --duration 20s\n  kith demo --server /usr/sbin/mariadbd --users 10000 --follows 50000",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return &usageError{fmt.Errorf("%w; see '%s --help'", err, cmd.CommandPath())}
			}
			return runDemo(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.server, "server", "", "mysqld or mariadbd `program` (default: the first on PATH or in the system's folders)")
	f.DurationVar(&o.duration, "duration", 0, "end after this time (default: at Ctrl-C)")
	f.IntVar(&o.users, "users", social.DefaultUsers, "users in the network")
	f.IntVar(&o.follows, "follows", social.DefaultFollows, "follows in the network")
	f.IntVar(&o.rate, "rate", 2000, "rows changed a second, at most")
	return cmd
}

func runDemo(ctx context.Context, o demoOptions, stdout, stderr io.Writer) (err error) {
	binary, err := sandbox.Find(o.server)
	if err != nil && o.server != "" {
		return &usageError{fmt.Errorf("--server: %w", err)}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "Starting a throwaway server: %s\n", binary)
	startCtx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	server, err := sandbox.Start(startCtx, sandbox.Options{Binary: binary, GTID: true, Fast: true})
	if err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	if err := fillDemo(ctx, server, o, stdout); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "kith-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s, err := newService(demoConfig(server, dir), logger)
	if err != nil {
		return err
	}
	return serveDemo(ctx, s, server, o, stdout)
}

func fillDemo(ctx context.Context, server *sandbox.Server, o demoOptions, stdout io.Writer) error {
	fmt.Fprintf(stdout, "Making schema %s: %d users, %d follows\n", social.Schema, o.users, o.follows)
	if err := social.Create(ctx, server.DB()); err != nil {
		return fmt.Errorf("make the schema: %w", err)
	}
	sizes := social.Sizes{Users: o.users, Follows: o.follows, Friendships: o.follows / 5}
	if err := social.Load(ctx, server.DB(), sizes, 1, nil); err != nil {
		return fmt.Errorf("fill the schema: %w", err)
	}
	return nil
}

// demoConfig is the configuration of the demo. Its port is demoListen if that
// is free, else any.
func demoConfig(server *sandbox.Server, dir string) *config.Config {
	c := config.Default()
	c.Source.Address, c.Source.User = server.Address(), server.User()
	c.Source.Password = config.NewSecret(server.Password())
	c.Relations = []config.Relation{
		{Name: "followers", Table: "social.follows", Key: "followee_id", Value: "follower_id"},
		{Name: "following", Table: "social.follows", Key: "follower_id", Value: "followee_id"},
		{Name: "friendships", Table: "social.friendships", Key: "user_a", Value: "user_b"},
	}
	c.Checkpoint.Dir = filepath.Join(dir, "checkpoint")
	c.Checkpoint.Interval = 5 * time.Second
	c.HTTP.Listen = demoListen
	if l, err := net.Listen("tcp", demoListen); err != nil {
		c.HTTP.Listen = "127.0.0.1:0"
	} else {
		l.Close()
	}
	return &c
}

// serveDemo serves while the network changes, then compares.
func serveDemo(ctx context.Context, s *service, server *sandbox.Server, o demoOptions, stdout io.Writer) error {
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	group, running := errgroup.WithContext(serving) // running ends when the service fails
	group.Go(func() error { return s.run(serving) })
	group.Go(func() error {
		defer stopServing()
		return demonstrate(ctx, running, s, server, o, stdout)
	})
	return group.Wait()
}

// demonstrate changes the network until ctx ends or the time is over, and
// compares at the end. Running ends when the service does.
func demonstrate(ctx, running context.Context, s *service, server *sandbox.Server, o demoOptions, stdout io.Writer) error {
	began := time.Now()
	if err := within(running, demoPatience, func(ctx context.Context) error { return s.catchUp(ctx, server.DB()) }); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "Serving %d edges after %s. Try:\n%s", countEdges(s.index), time.Since(began).Round(time.Millisecond),
		hints("http://"+s.listener.Addr().String()))
	if o.duration == 0 {
		fmt.Fprintln(stdout, "Ctrl-C stops the writers and compares every edge with the server.")
	}

	writer, err := social.NewWriter(o.users, 2)
	if err != nil {
		return err
	}
	writing, stopWriting := contextUntil(running, ctx, o.duration)
	defer stopWriting()
	group, writing := errgroup.WithContext(writing)
	group.Go(func() error { return writer.Run(writing, server.DB(), o.rate) })
	group.Go(func() error { showLive(writing, s, writer, stdout); return nil })
	if err := group.Wait(); err != nil {
		return fmt.Errorf("change the network: %w", err)
	}
	if running.Err() != nil {
		return nil // the service has failed, and tells why
	}

	fmt.Fprintln(stdout, "Writers stopped; comparing every edge with the server")
	return within(running, demoPatience, func(ctx context.Context) error {
		if err := s.catchUp(ctx, server.DB()); err != nil {
			return err
		}
		result, err := compare(ctx, server.DB(), s.index)
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "compared %d edges, %d differ\n", result.edges, result.differ)
		if result.differ > 0 {
			return fmt.Errorf("%d edges differ from the server", result.differ)
		}
		return nil
	})
}

// within gives f some time.
func within(ctx context.Context, d time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return f(ctx)
}

// contextUntil returns a context that ends with either of the two, and after d
// if that is not 0.
func contextUntil(parent, also context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d == 0 {
		d = math.MaxInt64
	}
	ctx, cancel := context.WithTimeout(parent, d)
	stop := context.AfterFunc(also, cancel)
	return ctx, func() { stop(); cancel() }
}

func hints(url string) string {
	return fmt.Sprintf(`  curl '%[1]s/v1/relations/followers/1?limit=5'
  curl '%[1]s/v1/relations/following/42?order=desc&limit=5'
  curl '%[1]s/v1/relations/followers/1/count'
  curl '%[1]s/v1/relations/followers/1/contains?value=5&value=7'
  curl '%[1]s/v1/status'
  curl '%[1]s/metrics'
`, url)
}

// showLive prints how the index follows, until ctx ends: on a terminal one line
// that changes every second, else a line every five.
func showLive(ctx context.Context, s *service, writer *social.Writer, stdout io.Writer) {
	interval, before, after := 5*time.Second, "", "\n"
	if isTerminal(stdout) {
		interval, before, after = time.Second, "\r\x1b[K", ""
		defer fmt.Fprintln(stdout)
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	rows, at := writer.Rows(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, rowsNow := time.Now(), writer.Rows()
		fmt.Fprintf(stdout, "%s%6.0f rows/s changed   lag %.1f s   %d edges   %s%s", before,
			float64(rowsNow-rows)/now.Sub(at).Seconds(), s.follower.Lag().Seconds(), countEdges(s.index), s.follower.Position(), after)
		rows, at = rowsNow, now
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

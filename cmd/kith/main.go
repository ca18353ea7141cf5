// Command kith keeps an in-memory index of relations of a MySQL or MariaDB
// server, true to its binlog, and serves it over HTTP.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/kithdb/kith/indexer"
)

// Exit codes.
const (
	exitFine   = 0
	exitFailed = 1
	exitUsage  = 2 // bad usage or configuration
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run runs the command that args name until it ends or ctx does, and returns
// its exit code.
func run(ctx context.Context, args, env []string, stdout, stderr io.Writer) (code int) {
	defer func() {
		// A panic ends in exit code 2, which would be a mistake of the configuration.
		if failure := recover(); failure != nil {
			err, ok := failure.(error)
			if !ok || !errors.Is(err, indexer.ErrNoMemory) {
				panic(failure)
			}
			fmt.Fprintf(stderr, "kith: %s\n", err)
			code = exitFailed
		}
	}()
	root := newRoot(env)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitFine
	}
	text := err.Error()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		text = "interrupted" // whatever it was that was cut off
	}
	fmt.Fprintf(stderr, "kith: %s\n", strings.ReplaceAll(text, "\n", "\nkith: "))
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

// usageError is a mistake in the command line or in the configuration.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func newRoot(env []string) *cobra.Command {
	root := &cobra.Command{
		Use:   "kith",
		Short: "A compact in-memory index of MySQL relations, true to the binlog",
		Long: "kith reads tables of a MySQL or MariaDB server once, follows the binlog for ever, keeps\n" +
			"key -> sorted values in memory, and answers lists over HTTP.",
		Example:       "  kith demo\n  kith serve -c kith.yaml",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       versionText(),
		Args:          noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
		SuggestionsMinimumDistance: 2,
	}
	root.SetVersionTemplate(versionLine())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w; see '%s --help'", err, cmd.CommandPath())}
	})
	root.AddCommand(newServe(env), newInspect(), newDemo(), newVersion())
	root.SetHelpCommand(newHelp())
	addCompletion(root)
	return root
}

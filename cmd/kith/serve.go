package main

import (
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/config"
)

// sampleConfig is what most need, with other names.
const sampleConfig = `  source:
    address: 127.0.0.1:3306        # or the path of a unix socket
    user: kith
    password_file: /run/secrets/kith
  relations:
    - name: followers              # the followers of a user: /v1/relations/followers/USER
      table: social.follows
      key: followee_id
      value: follower_id
  checkpoint:
    dir: ./kith-data
  http:
    listen: 127.0.0.1:8080`

func newServe(env []string) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Follow a source and serve its relations",
		Long: "serve reads the tables of the relations, or the checkpoint of an earlier run, follows the binlog,\n" +
			"and answers over HTTP until it is told to stop (SIGTERM or Ctrl-C), when it writes a checkpoint.\n\n" +
			"A configuration to start from; every key can also be set in the environment, as in KITH_SOURCE_USER:\n\n" +
			sampleConfig,
		Example: "  kith serve -c kith.yaml\n  KITH_SOURCE_PASSWORD_FILE=/run/secrets/kith kith serve",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(file, env, canal.CheckWhere)
			if err != nil {
				return &usageError{err}
			}
			out := cmd.ErrOrStderr()
			var watched *terminal
			if c.Log.Format == config.LogText {
				if watched = newTerminal(out); watched != nil {
					out = watched
				}
			}
			logger := newLogger(out, c.Log)
			s, err := newService(c, logger)
			if err == nil {
				s.terminal = watched
				err = s.run(cmd.Context())
			}
			if err != nil && c.Log.Format == config.LogJSON { // those who read the log read nothing else
				logger.Error("ended", "error", err)
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration `file` (default: ./kith.yaml, then /etc/kith/kith.yaml)")
	return cmd
}

func newLogger(w io.Writer, c config.Log) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.Level}
	if c.Format == config.LogJSON {
		options.ReplaceAttr = withUnits
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// withUnits writes durations as text logs have them: in JSON they would be
// numbers, of nanoseconds.
func withUnits(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

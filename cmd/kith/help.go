package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// newHelp is cobra's help command, but for what it does not know.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:     "help [command]",
		Short:   "Help about any command",
		Example: "  kith help serve",
		RunE: func(cmd *cobra.Command, args []string) error {
			asked, rest, err := cmd.Root().Find(args)
			if err != nil {
				return &usageError{err}
			}
			if err := noArguments(asked, rest); err != nil {
				return err
			}
			asked.InitDefaultHelpFlag()
			return asked.Help()
		},
	}
}

// addCompletion adds cobra's completion commands, with examples, and with exit
// code 2 for shells that they do not know.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	completion, _, err := root.Find([]string{"completion"})
	if err != nil || completion == root {
		panic("kith: cobra has no completion command")
	}
	completion.Example = "  source <(kith completion bash)"
	completion.Args = noArguments
	completion.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	for _, shell := range completion.Commands() {
		shell.Example = "  kith completion " + shell.Name()
		shell.Args = noArguments
	}
}

// noArguments refuses arguments, with exit code 2.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if meant := cmd.SuggestionsFor(args[0]); len(meant) > 0 {
		return &usageError{fmt.Errorf("%q is not known to '%s'; did you mean %s?", args[0], cmd.CommandPath(), strings.Join(meant, " or "))}
	}
	return &usageError{fmt.Errorf("%q is not known to '%s'; see '%[2]s --help'", args[0], cmd.CommandPath())}
}

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/indexer"
)

func newInspect() *cobra.Command {
	return &cobra.Command{
		Use:   "inspect [DIR]",
		Short: "Read a checkpoint and compare every checksum",
		Long: "inspect reads the newest checkpoint of a directory, ./kith-data if none is given, and compares every\n" +
			"checksum: its position, relations, keys, edges, bytes, and how long the lists are. It changes nothing,\n" +
			"and may be used while kith runs. It fails if anything is damaged, and says where.",
		Example: "  kith inspect ./kith-data",
		Args:    atMostOneArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			directory := "./kith-data"
			if len(args) > 0 {
				directory = args[0]
			}
			found, err := indexer.Inspect(directory)
			switch {
			case errors.Is(err, indexer.ErrNoCheckpoint):
				return fmt.Errorf("%w; name the directory that checkpoint.dir of the configuration does", err)
			case err != nil:
				return err
			}
			if err := describeCheckpoint(cmd.OutOrStdout(), directory, &found); err != nil {
				return err
			}
			return damageIn(&found)
		},
	}
}

// atMostOneArgument refuses more, with exit code 2.
func atMostOneArgument(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return &usageError{fmt.Errorf("'%s' takes one directory, not %d; see '%[1]s --help'", cmd.CommandPath(), len(args))}
	}
	return nil
}

// damageIn returns an error that names all damaged places, nil if there is none.
func damageIn(found *indexer.Inspection) error {
	var all []error
	for _, r := range found.Relations {
		for _, damage := range r.Damage {
			all = append(all, fmt.Errorf("relation %s: %s", r.Name, damage))
		}
	}
	return errors.Join(all...)
}

func describeCheckpoint(w io.Writer, directory string, found *indexer.Inspection) error {
	position, err := canal.DescribeBookmark(found.Bookmark)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "directory\t%s\n", directory)
	fmt.Fprintf(table, "checkpoint\t%s\n", found.File)
	fmt.Fprintf(table, "written\t%s\n", found.WrittenAt.Format(time.RFC3339))
	fmt.Fprintf(table, "position\t%s\n\n", position)
	fmt.Fprintln(table, "RELATION\tTABLE\tKEY\tVALUE\tKEYS\tEDGES\tBYTES\tCHECKSUMS")
	for _, r := range found.Relations {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t", r.Name, r.Table, r.Key, r.Value)
		switch {
		case !r.Held:
			fmt.Fprintln(table, "-\t-\t-\tnot held: its table is read at the next start")
		case len(r.Damage) > 0:
			fmt.Fprintf(table, "-\t-\t%d\tDAMAGED\n", r.Bytes)
		case r.State == indexer.Loading:
			fmt.Fprintf(table, "%d\t%d\t%d\tfine; the rest of its table is read at the next start\n", r.Survey.Keys, r.Survey.Edges, r.Bytes)
		default:
			fmt.Fprintf(table, "%d\t%d\t%d\tfine\n", r.Survey.Keys, r.Survey.Edges, r.Bytes)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return describeLengths(w, found.Relations)
}

// describeLengths prints how many keys have lists of which length.
func describeLengths(w io.Writer, relations []indexer.InspectedRelation) error {
	longest := -1
	var names []string
	for _, r := range relations {
		names = append(names, r.Name)
		for i, n := range r.Survey.Lengths {
			if n > 0 {
				longest = max(longest, i)
			}
		}
	}
	if longest < 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "\nKEYS WITH VALUES\t%s\n", strings.Join(names, "\t"))
	for i := range longest + 1 {
		from, to := uint64(1)<<i, uint64(2)<<i-1
		length := fmt.Sprintf("%d to %d", from, to)
		if from == to {
			length = fmt.Sprint(from)
		}
		fmt.Fprint(table, length)
		for _, r := range relations {
			fmt.Fprintf(table, "\t%d", r.Survey.Lengths[i])
		}
		fmt.Fprintln(table)
	}
	return table.Flush()
}

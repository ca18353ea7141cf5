//go:build linux

package main

import (
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/kithdb/kith/indexer/postings"
)

// Accounted is what the memory of our index is made of.
type Accounted struct {
	postings.Account
	Able bool
}

// Account tells about our index.
func (w *Worker) Account(_ struct{}, a *Accounted) error {
	if t, ok := w.subject.(*tree); ok {
		*a = Accounted{t.x.Account(), true}
	}
	return nil
}

// account prints what the memory of our index is made of.
func (r *rounds) account() error {
	if !r.o.account {
		return nil
	}
	for _, h := range r.crew {
		var a Accounted
		if err := h.call("Account", struct{}{}, &a); err != nil {
			return err
		}
		if a.Able {
			fmt.Printf("\n%s, %s: bytes an edge by part\n", h.name, r.d.name)
			printAccount(&a.Account, float64(r.edges))
		}
	}
	return nil
}

func printAccount(a *postings.Account, edges float64) {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, part := range []struct {
		name  string
		bytes uint64
	}{
		{"headers of leaves", a.Headers},
		{"tags and samples", a.Tags},
		{"keys, low parts", a.KeyLows},
		{"keys, high parts", a.KeyHighs},
		{"universes of entries", a.Own},
		{"values, low parts", a.Lows},
		{"values, high parts", a.Highs},
		{"ends of leaves' blocks", a.Rounding},
		{"inner nodes", a.Inner},
		{"free, or to be freed", a.Free + a.Limbo},
		{"records of pages", a.Records},
		{"dictionary: table", a.Table},
		{"dictionary: headers of blocks", a.BlockHeaders},
		{"dictionary: ids", a.Packed},
		{"dictionary: ends of blocks", a.BlockRoom},
		{"dictionary: free", a.BlockFree},
	} {
		fmt.Fprintf(out, "%s\t%.4f\t\n", part.name, float64(part.bytes)/edges)
	}
	out.Flush()
	fmt.Printf("%d leaves, %d entries (%d of a universe of their own), %d ids in %d buckets\n", a.Leaves, a.Entries, a.Owned, a.IDs, a.Buckets)
}

package postings

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// BenchmarkCheckpoint writes checkpoints of an index of 2 M edges after so many
// changes at random places. Beside the time it tells how long the writer waits,
// and what is written.
func BenchmarkCheckpoint(b *testing.B) {
	x := grown(2_000_000)
	file := newPageFile(b, createFile(b, b.TempDir(), true))
	save(b, x.Freeze(nil), file)
	rng := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{0, 100, 1000, 20_000} {
		b.Run(fmt.Sprintf("changes=%d", n), func(b *testing.B) {
			var pause time.Duration
			var wrote int64
			changes := make([]Change, n)
			for b.Loop() {
				b.StopTimer()
				for i := range changes {
					changes[i] = Change{rng.Uint64N(100_000), rng.Uint64N(1 << 32), Add}
				}
				x.Apply(changes)
				b.StartTimer()
				start := time.Now()
				z := x.Freeze(file)
				pause += time.Since(start)
				file.Release()
				pages, err := z.WritePages(file)
				if err != nil {
					b.Fatal(err)
				}
				wrote += pages + int64(z.treeSize())
				z.Keep()
			}
			b.ReportMetric(float64(pause.Microseconds())/float64(b.N), "µs-pause/op")
			b.ReportMetric(float64(wrote)/float64(b.N), "B-written/op")
		})
	}
}

// BenchmarkOpen opens a checkpoint of 2 M edges up to the first answer, then
// compares all of it with its checksums.
func BenchmarkOpen(b *testing.B) {
	disk := createFile(b, b.TempDir(), true).(*os.File)
	segment := save(b, grown(2_000_000).Freeze(nil), newPageFile(b, disk))
	var whole time.Duration
	for b.Loop() {
		x, _ := mustOpen(b, disk, segment)
		x.Contains(1, 1)
		b.StopTimer()
		start := time.Now()
		if err := x.Prove(b.Context()); err != nil {
			b.Fatal(err)
		}
		whole += time.Since(start)
		b.StartTimer()
	}
	b.ReportMetric(float64(whole.Microseconds())/float64(b.N), "µs-proving/op")
}

package postings

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestMemoryThatCameBackStaysBack: the system may not make huge pages of ranges with pages
// whose memory was given back. It may of all others, also when they are used again.
func TestMemoryThatCameBackStaysBack(t *testing.T) {
	if pageSize%os.Getpagesize() != 0 {
		t.Log("pages of this system are larger than ours: nothing is given back")
		return
	}
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage"); err != nil {
		t.Log("a kernel without huge pages")
		return
	}
	a := newArena()
	defer a.release()
	const pages = 8 * hugeFrom / pageSize
	block := make([]byte, maxBlock)
	random := rand.New(rand.NewPCG(1, 2))
	var blocks []ref
	for round := range 4 {
		for _, n := range []int{pages * 3 / 4, pages} {
			for len(a.pages)-len(a.empty) < n {
				blocks = append(blocks, a.alloc(block))
			}
			checkHugePages(t, a)
		}
		if round == 0 && a.given.next(0) >= 0 {
			t.Fatal("something was given back of what is used")
		}
		// One range in four keeps all of its pages, and the others one page in eight.
		keep := make(map[int32]bool)
		for p := range int32(len(a.pages)) {
			keep[p] = p/growPages%4 == int32(round) || random.IntN(8) == 0
		}
		blocks = slices.DeleteFunc(blocks, func(r ref) bool {
			if keep[r.page()] {
				return false
			}
			a.free(r)
			return true
		})
		if n := len(a.empty) - a.resident; n < pages/4 {
			t.Fatalf("%d pages were given back, too few to tell", n)
		}
		checkHugePages(t, a)
	}
}

// checkHugePages holds what the system was asked for against the pages of an arena.
func checkHugePages(t *testing.T, a *arena) {
	t.Helper()
	flags := mappings(t)
	for step := range int(a.committed / growStep) {
		off := uint64(step) * growStep
		from := step * growPages
		next := a.given.next(from)
		hollow := next >= 0 && next < from+growPages
		if hollow && a.pages[next].slots != 0 {
			t.Errorf("page %d is used, and its memory was given back", next)
		}
		at := addressOf(t, a.bytes(off, 1))
		i, found := slices.BinarySearchFunc(flags, at, func(m mapping, at uint64) int {
			switch {
			case m.to <= at:
				return -1
			case m.from > at:
				return 1
			}
			return 0
		})
		if !found {
			t.Fatalf("no mapping has address %x", at)
		}
		m, advised := flags[i], off >= hugeFrom
		if huge, none := slices.Contains(m.flags, "hg"), slices.Contains(m.flags, "nh"); huge != (advised && !hollow) || none != (advised && hollow) || m.to < at+growStep {
			t.Errorf("range %d: hollow %t, and the system may have huge pages there: %t, not %t, to %d", step, hollow, huge, none, m.to-at)
		}
	}
}

func addressOf(t *testing.T, b []byte) (at uint64) {
	t.Helper()
	if _, err := fmt.Sscanf(fmt.Sprintf("%p", b), "0x%x", &at); err != nil {
		t.Fatal(err)
	}
	return at
}

// mapping is a line of /proc/self/smaps, with its VmFlags: proc_pid_smaps(5).
type mapping struct {
	from, to uint64
	flags    []string
}

func mappings(t *testing.T) (all []mapping) {
	t.Helper()
	file, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var m mapping
		if flags, ok := strings.CutPrefix(lines.Text(), "VmFlags:"); ok {
			all[len(all)-1].flags = strings.Fields(flags)
		} else if n, _ := fmt.Sscanf(lines.Text(), "%x-%x ", &m.from, &m.to); n == 2 {
			all = append(all, m)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

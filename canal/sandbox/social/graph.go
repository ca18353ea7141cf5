package social

import (
	"math"
	"math/rand/v2"
	"slices"
)

// graph draws the edges of the network.
type graph struct {
	rng    *rand.Rand
	users  int
	stride int             // see celebrity
	drawn  map[uint64]bool // the edges of the user at hand; here to be reused
}

func newGraph(users int, seed uint64) *graph {
	return &graph{
		rng:    rand.New(rand.NewPCG(seed, 0)),
		users:  users,
		stride: coprime(users),
		drawn:  make(map[uint64]bool),
	}
}

// skew is the exponent of celebrity. With 3, 100,000 users and a million
// follows, the first of all has 20,000 followers, the thousandth 70, and half
// of the users fewer than 5.
const skew = 3

// anyone returns a user, all alike.
func (g *graph) anyone() uint64 { return 1 + g.rng.Uint64N(uint64(g.users)) }

// celebrity returns a user by a power law: the density of rank r is as
// r^(1/skew-1). The ranks are spread over the ids by a stride, so that the
// famous are no neighbours.
func (g *graph) celebrity() uint64 {
	rank := int(float64(g.users) * math.Pow(g.rng.Float64(), skew))
	return 1 + uint64(rank)*uint64(g.stride)%uint64(g.users)
}

// coprime returns a stride, near the golden section, that visits all of n.
func coprime(n int) int {
	stride := max(1, int(float64(n)*0.618))
	for gcd(stride, n) != 1 {
		stride++
	}
	return stride
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// degrees shares total edges out among the users: a log-normal law, as most
// have a few and some have many, held below most(user). The sum is exact,
// provided that there is room.
func (g *graph) degrees(total int, most func(user int) int) []int {
	weights := make([]float64, g.users)
	sum := 0.0
	for i := range weights {
		weights[i] = math.Exp(g.rng.NormFloat64())
		sum += weights[i]
	}
	degrees := make([]int, g.users)
	left, reached, before := total, 0.0, 0
	for i, weight := range weights {
		reached += weight
		upTo := int(float64(total) * reached / sum)
		degrees[i] = min(upTo-before, most(i+1))
		before = upTo
		left -= degrees[i]
	}
	// What rounding and the limits have kept back goes round, one by one.
	for i := 0; left > 0; i = (i + 1) % g.users {
		if degrees[i] < most(i+1) {
			degrees[i]++
			left--
		}
	}
	return degrees
}

// followees returns n distinct users whom user follows, ascending, appended to
// dst.
func (g *graph) followees(dst []uint64, user uint64, n int) []uint64 {
	clear(g.drawn)
	g.drawn[user] = true // nobody follows themselves
	from := len(dst)
	for range n {
		id := g.celebrity()
		for g.drawn[id] {
			id = id%uint64(g.users) + 1
		}
		g.drawn[id] = true
		dst = append(dst, id)
	}
	slices.Sort(dst[from:])
	return dst
}

// friends returns n distinct users with a greater id, ascending, appended to
// dst. Friends are near: most met when they joined.
func (g *graph) friends(dst []uint64, user uint64, n int) []uint64 {
	clear(g.drawn)
	room := uint64(g.users) - user
	from := len(dst)
	for range n {
		offset := uint64(g.rng.ExpFloat64()*50) % room
		for g.drawn[user+1+offset] {
			offset = (offset + 1) % room
		}
		id := user + 1 + offset
		g.drawn[id] = true
		dst = append(dst, id)
	}
	slices.Sort(dst[from:])
	return dst
}

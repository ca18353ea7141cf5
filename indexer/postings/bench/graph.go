//go:build linux

package main

import (
	"fmt"
	"math"
	"math/bits"
)

// graph draws edges of a random graph whose degrees follow a power law in both
// directions. Edge i depends on i alone, so that no edge need be kept.
type graph struct {
	users   uint64 // keys and values are among so many
	ids     func(rank uint64) uint64
	reverse bool // key and value change places
	local   bool // values are near their key
	keyLaw  float64
	valLaw  float64
}

// kindsOfIDs are those that newGraph knows.
const kindsOfIDs = "scattered, local, snowflake, sparse or outliers"

func newGraph(users uint64, ids string, reverse bool) (*graph, error) {
	g := &graph{users: users, reverse: reverse, keyLaw: 0.6, valLaw: 0.35}
	switch ids {
	case "scattered": // 32-bit ids of an autoincrement column, a list's anywhere among them
		g.ids = func(rank uint64) uint64 { return g.shuffle(rank) + 1 }
	case "local": // the same, seven of eight near their key
		g.local = true
		g.ids = func(rank uint64) uint64 { return g.shuffle(rank) + 1 }
	case "snowflake": // 63 bits: 41 of time, in which users come at random, 22 of others
		g.ids = func(rank uint64) uint64 {
			n := g.shuffle(rank)
			return (1<<39+n*30_000+mix(n)%30_000)<<22 | mix(n+1)%8<<17 | mix(n+2)%4
		}
	case "sparse": // one id of sixteen is in use
		g.ids = func(rank uint64) uint64 { return g.shuffle(rank)*16 + mix(rank)%16 }
	case "outliers": // one of a thousand is far outside
		g.ids = func(rank uint64) uint64 {
			if n := mix(rank); n%1000 == 0 {
				return n >> 1
			}
			return g.shuffle(rank) + 1
		}
	default:
		return nil, fmt.Errorf("ids %q: want %s", ids, kindsOfIDs)
	}
	return g, nil
}

// edge returns edge i.
func (g *graph) edge(i uint64) (key, value uint64) {
	r := mix(i * 2)
	a := g.ids(g.rank(r, g.keyLaw))
	b := uint64(0)
	if r2 := mix(i*2 + 1); g.local && r2%8 != 0 {
		b = (a + mix(r2)%200) % g.users
	} else {
		b = g.ids(g.rank(r2, g.valLaw))
	}
	if g.reverse {
		return b, a
	}
	return a, b
}

// rank draws a rank with a probability falling as rank^-law.
func (g *graph) rank(r uint64, law float64) uint64 {
	u := float64(r>>11) / (1 << 53)
	return min(uint64(math.Pow(u, 1/(1-law))*float64(g.users)), g.users-1)
}

// shuffle permutes the ranks: a popular user has any id.
func (g *graph) shuffle(rank uint64) uint64 {
	const prime = 2_654_435_761 // coprime to any number of users that it does not divide
	hi, lo := bits.Mul64(rank, prime)
	return bits.Rem64(hi, lo, g.users)
}

// mix is the finalizer of SplitMix64 (Steele, Lea and Flood 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

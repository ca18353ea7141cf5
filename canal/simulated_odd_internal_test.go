package canal

import (
	"encoding/binary"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/canal/gtid"
)

// eachOdd runs a test on a recording of each family that has several events in
// each of its groups, of MySQL with and without GTIDs.
func eachOdd(t *testing.T, run func(t *testing.T, name string, source *simulated)) {
	t.Helper()
	for _, name := range []string{"mariadb1011/12_triggers_generated", "mysql97/12_triggers_generated"} {
		t.Run(filepath.Dir(name), func(t *testing.T) {
			run(t, name, simulate(t, readScenario(t, filepath.Join(recordings, name))))
		})
	}
	const name = "mysql97/12_triggers_generated"
	t.Run("by offset", func(t *testing.T) {
		run(t, name, simulateOffsets(t, readScenario(t, filepath.Join(recordings, name))))
	})
}

// odd are streams that servers send rarely: edits of a recording, of which the
// first of packets is the n-th, and what comes of them.
var odd = []struct {
	name  string
	only  gtid.Kind // None means both families
	edit  func(s *simulated, n int, packets [][]byte) [][]byte
	doubt string // of all relations
}{
	{name: "heartbeats between all events", edit: func(s *simulated, n int, packets [][]byte) [][]byte {
		return after(packets, func(i int) [][]byte {
			return [][]byte{s.beatBehind(packets[i])}
		})
	}},
	{name: "unknown events that may be ignored", edit: func(s *simulated, n int, packets [][]byte) [][]byte {
		return after(packets, func(int) [][]byte {
			return [][]byte{sealed(eventOf(200, 0, 1, 2, 3), binlog.FlagIgnorable), sealed(eventOf(255, 0), binlog.FlagIgnorable)}
		})
	}},
	{name: "rows events that only end their statement", edit: func(s *simulated, n int, packets [][]byte) [][]byte {
		var events [][]byte
		for _, id := range []string{"\xff\xff\xff\x00\x00\x00", "\xff\xff\xff\xff\x00\x00", "\xff\xff\xff\xff\xff\xff"} {
			kind, extra := binlog.TypeWriteRowsV1, ""
			if s.kind != gtid.Maria {
				kind, extra = binlog.TypeWriteRowsV2, "\x02\x00"
			}
			const statementEnd, columns = "\x01\x00", "\x01\xff"
			events = append(events, sealed(eventOf(kind, 0, []byte(id+statementEnd+extra+columns)...), 0))
		}
		return after(packets, onlyAt(s.groups[s.begin+1].first+1-n, events...))
	}},
	{name: "an unknown event within a group", doubt: "of a kind", edit: func(s *simulated, n int, packets [][]byte) [][]byte {
		return after(packets, onlyAt(s.groups[s.begin+1].first+1-n, sealed(eventOf(200, 0), 0)))
	}},
	{name: "an unknown event between groups", doubt: "of a kind", edit: func(s *simulated, n int, packets [][]byte) [][]byte {
		return after(packets, onlyAt(s.groups[s.begin+1].end-1-n, sealed(eventOf(200, 0), 0)))
	}},
	{name: "an incident", only: gtid.Maria, doubt: "INCIDENT", edit: func(s *simulated, n int, packets [][]byte) [][]byte {
		return after(packets, onlyAt(s.groups[s.begin+1].end-1-n, sealed(eventOf(binlog.TypeIncident, 0, 1, 0, 0), 0)))
	}},
	{name: "an anonymous group between others", only: gtid.MySQL, edit: func(s *simulated, n int, packets [][]byte) [][]byte {
		return after(packets, onlyAt(s.groups[s.begin+1].end-1-n,
			sealed(anonymousOf(0), 0), sealed(queryOf(0, "BEGIN"), 0), sealed(eventOf(binlog.TypeXID, 0, make([]byte, 8)...), 0)))
	}},
	{name: "no positions within groups", edit: func(s *simulated, n int, packets [][]byte) [][]byte {
		edited := slices.Clone(packets)
		for _, g := range s.groups {
			for i := max(n, g.first+1); i < g.end-1; i++ {
				edited[i-n] = moved(packets[i-n], -int64(binary.LittleEndian.Uint32(packets[i-n][13:])))
			}
		}
		return edited
	}},
	{name: "positions that wrap", edit: func(s *simulated, n int, packets [][]byte) [][]byte {
		first, last := s.groups[s.begin].mark.offset, s.groups[len(s.groups)-1].mark.offset
		var edited [][]byte
		for _, packet := range packets {
			edited = append(edited, moved(packet, 1<<32-int64(first+last)/2))
		}
		return edited
	}},
	{name: "the next binlog", edit: func(s *simulated, n int, packets [][]byte) [][]byte {
		end := s.groups[s.begin+1].end - 1 - n
		next := append([]byte{4, 0, 0, 0, 0, 0, 0, 0}, "bin.000002"...)
		return after(packets, onlyAt(end, sealed(eventOf(binlog.TypeRotate, 9999, next...), 0),
			sealed(eventOf(binlog.TypeRotate, 0, next...), binlog.FlagArtificial), s.packets[0]))
	}},
	{name: "a group that begins anew", edit: func(s *simulated, n int, packets [][]byte) [][]byte {
		g := s.groups[s.begin+1]
		return after(packets, onlyAt(g.end-2-n, packets[g.first-n:g.end-1-n]...))
	}},
	{name: "a group that begins anew after a ROTATE", edit: func(s *simulated, n int, packets [][]byte) [][]byte {
		g := s.groups[s.begin+1]
		return after(packets, onlyAt(g.end-2-n, append(s.opening(), packets[g.first-n:g.end-1-n]...)...))
	}},
	{name: "packets as large as frames", edit: func(s *simulated, n int, packets [][]byte) [][]byte {
		large := func(size int) []byte { // of the packet
			return sealed(eventOf(binlog.TypeIgnorable, 0, make([]byte, size-1-19-4)...), binlog.FlagIgnorable)
		}
		return after(packets, onlyAt(s.groups[s.begin+1].first+1-n, large(maxFrame-1), large(maxFrame), large(maxFrame+1)))
	}},
}

// after puts events after each of packets.
func after(packets [][]byte, events func(i int) [][]byte) (edited [][]byte) {
	for i, packet := range packets {
		edited = append(append(edited, packet), events(i)...)
	}
	return edited
}

// onlyAt is for after: events that come after the i-th packet alone.
func onlyAt(i int, events ...[]byte) func(int) [][]byte {
	return func(j int) [][]byte {
		if i == j {
			return events
		}
		return nil
	}
}

// moved returns an event at another position.
func moved(event []byte, by int64) []byte {
	b := slices.Clone(event)
	binary.LittleEndian.PutUint32(b[13:], uint32(int64(binary.LittleEndian.Uint32(b[13:]))+by))
	return resealed(b)
}

func TestSimulatedOddStreams(t *testing.T) {
	eachOdd(t, func(t *testing.T, name string, source *simulated) {
		bookmark := source.read(t)
		for _, o := range odd {
			if o.only != gtid.None && o.only != source.kind {
				continue
			}
			t.Run(o.name, func(t *testing.T) {
				source.answerDumps(func(d *dump) error {
					if d.first < source.groups[source.begin+1].first {
						d.packets = o.edit(source, d.first, d.packets)
					}
					return d.follow()
				})
				k := source.follower(t, bookmark)
				k.toEnd(source)
				k.exact(source, o.doubt)
				k.reconnected("")
			})
		}
	})
}

// exact checks that all relations equal their tables, and were in doubt for a
// reason that has these words, or never if there are none.
func (k *followed) exact(s *simulated, doubt string) {
	k.t.Helper()
	for i, r := range k.index.Status() {
		if why := k.doubts[i]; !strings.Contains(why, doubt) || doubt == "" && why != "" {
			k.t.Errorf("%s was in doubt because %q, want %q", r.Name, why, doubt)
		}
		if !s.equals(k, i) {
			k.t.Errorf("%s has %d edges, and not the %d of its table", r.Name, r.Edges, len(s.want[i]))
		}
	}
}

// reconnected checks that the follower connected again once, for that reason, or
// not at all.
func (k *followed) reconnected(reason string) {
	k.t.Helper()
	got := maps.Clone(k.Status().Reconnects)
	maps.DeleteFunc(got, func(_ string, n uint64) bool { return n == 0 })
	want := map[string]uint64{reason: 1}
	if reason == "" {
		clear(want)
	}
	if !maps.Equal(got, want) {
		k.t.Errorf("reconnects = %v, want %v", got, want)
	}
}

// TestSimulatedBitFlips flips a bit of every event, one for each follower: it is
// noticed before anything comes of it.
func TestSimulatedBitFlips(t *testing.T) {
	eachOdd(t, func(t *testing.T, _ string, source *simulated) {
		bookmark := source.read(t)
		events := len(source.opening()) + len(source.packets) - source.groups[source.begin].first
		for n := range events {
			source.answerDumps(func(d *dump) error {
				stream := append(d.opening, d.packets...)
				if d.number == 0 {
					damaged := slices.Clone(stream[n])
					bit := n * 7919 % (8 * len(damaged))
					damaged[bit/8] ^= 1 << (bit % 8)
					stream[n] = damaged
				}
				d.opening, d.packets = nil, stream
				return d.follow()
			})
			k := source.follower(t, bookmark)
			k.toEnd(source)
			k.exact(source, "")
			if k.Status().Reconnects[reasonDamaged] != 1 {
				t.Errorf("event %d of %d: reconnects = %v, want one for damage", n, events, k.Status().Reconnects)
			}
			if t.Failed() {
				t.Fatalf("with a bit of event %d of %d flipped", n, events)
			}
		}
	})
}

// refusals are the errors with which servers refuse to send their binlog, and
// what they are taken for.
var refusals = []struct {
	code   uint16
	text   string
	reason string
}{
	{errMasterFatal, "Could not find GTID state requested by slave in any binlog files. Probably the slave state is too old and required binlog files have been purged.", reasonLost},
	{errMasterFatal, "Error: connecting slave requested to start from GTID 0-7-99, which is not in the master's binlog", reasonServer},
	{errMasterFatal, "Error: connecting slave requested to start from GTID 0-7-9, which is not in the master's binlog. Since the master's binlog contains GTIDs with higher sequence numbers, it probably means that the slave has diverged due to executing extra erroneous transactions", reasonLost},
	{errMasterFatal, "Cannot replicate because the source purged required binary logs. Replicate the missing transactions from elsewhere", reasonLost},
	{errMasterFatal, "Replica has more GTIDs than the source has, using the source's SERVER_UUID.", reasonServer},
	{errMasterFatal, "Could not find first log file name in binary log index file", reasonLost},
	{errMasterFatal, "Client requested source to start replication from impossible position; the first event 'bin.000001' at 4", reasonLost},
	{errMasterFatal, "log event entry exceeded max_allowed_packet; Increase max_allowed_packet on source", reasonDamaged},
	{errMasterFatal, "A replica with the same server_uuid/server_id as this replica has connected to the source", reasonDuplicate},
	{errReplicaSameID, "A slave with the same server_uuid/server_id as this slave has connected to the master", reasonDuplicate},
	{1053, "Server shutdown in progress", reasonServer},
}

// TestSimulatedRefusals refuses to send the binlog at first, at its beginning and
// within a group.
func TestSimulatedRefusals(t *testing.T) {
	eachOdd(t, func(t *testing.T, _ string, source *simulated) {
		bookmark := source.read(t)
		for _, r := range refusals {
			for _, sent := range []int{0, 2} {
				source.answerDumps(func(d *dump) error {
					if d.number > 0 {
						return d.follow()
					}
					if sent > 0 {
						if _, err := d.Write(framed(append(d.opening, d.packets[:sent]...)...)); err != nil {
							return err
						}
					}
					return gomysql.NewError(r.code, r.text)
				})
				k := source.follower(t, bookmark)
				k.toEnd(source)
				doubt := ""
				if r.reason == reasonLost {
					doubt = "position was lost"
				}
				k.exact(source, doubt)
				k.reconnected(r.reason)
				if t.Failed() {
					t.Fatalf("after %d events: %s", sent, r.text)
				}
			}
		}
	})
}

package canal_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// TestSourceRestartsDuringARescan stops and starts the source amid rescans.
func TestSourceRestartsDuringARescan(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		s := startSource(t, withoutGTIDs(o))
		schema := s.schema(t)
		createFollowed(t, s, schema)
		s.fill(t, schema, "t", 1000, 60_000)
		k := s.follow(t, schema, "t.a.b", "t.b.a", "safe.a.b")
		k.exact()
		s.unlogged(t, schema, "DELETE FROM t WHERE a % 7 = 0")
		for _, relation := range []string{"t.a.b", "t.b.a"} {
			k.rescan(relation)
			k.wait("the first rows", func() bool { return k.rescanned(relation).Rows > 0 })
			s.stopAndStart(t)
			s.run(t, schema, "DELETE FROM t WHERE a % 1000 = 1", "INSERT INTO safe VALUES (5, 5, 5) ON DUPLICATE KEY UPDATE x = x + 1")
			k.live(relation)
		}
		k.exact()
		k.trusted("safe.a.b")
	})
}

// TestLostPositionServesStale purges what a follower has not read yet: what it
// has is served, never less, until the tables are read again.
func TestLostPositionServesStale(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		s := startSource(t, withoutGTIDs(o))
		schema := s.schema(t)
		createFollowed(t, s, schema)
		s.fill(t, schema, "t", 1000, 20_000)
		k := s.follow(t, schema, "t.a.b", "t.b.a")
		k.exact()
		options := k.resume()
		s.run(t, schema, "DELETE FROM t WHERE a % 3 = 0", "INSERT INTO t VALUES (7, 8, 9)")
		first := s.firstBinlog(t)
		s.run(t, schema, "FLUSH BINARY LOGS", "DELETE FROM t WHERE a % 5 = 0", "FLUSH BINARY LOGS")
		eventually(t, testContext(t), func() string { return first + " is purged" }, func() bool {
			s.run(t, "", "PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY") // those that nobody reads any more
			return s.firstBinlog(t) != first
		})
		k = s.start(t, options, k.index)
		k.wait("the loss", func() bool {
			if !k.index.Contains(0, 20_999, 20_999) {
				t.Fatal("an edge is missing that was there all the time")
			}
			return k.follower.Status().Reconnects["position-lost"] > 0 && k.rescanned("t.b.a").Ended > 0
		})
		k.exact()
		k.doubted("t.a.b", "position was lost")
		for _, m := range k.moves {
			if m.State == indexer.Loading {
				t.Errorf("relation %d goes to %s: what it had is served no more", m.Relation, m.State)
			}
		}
	})
}

func (s *source) firstBinlog(t *testing.T) string {
	t.Helper()
	rows, err := s.DB().QueryContext(testContext(t), "SHOW BINARY LOGS")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil || !rows.Next() {
		t.Fatal(err, rows.Err())
	}
	var name string
	row := []any{&name}
	for range columns[1:] {
		row = append(row, new(any))
	}
	if err := rows.Scan(row...); err != nil {
		t.Fatal(err)
	}
	return name
}

// A program is a random course of events around one table.
type program struct {
	t      *testing.T
	s      *source
	k      *kith
	schema string
	random *rand.Rand
	said   []string // to repeat it
}

type step struct {
	name string
	do   func(p *program)
}

// steps are what may happen. Each leaves a table t that has columns a and b with a
// unique key of both.
func steps() []step {
	return []step{
		{"rows", (*program).rows},
		{"rows", (*program).rows},
		{"rows", (*program).rows},
		{"add column", func(p *program) {
			p.sql("ALTER TABLE t ADD COLUMN IF_c%d INT DEFAULT 5 %s", p.random.IntN(1e6), []string{"", "FIRST", "AFTER a"}[p.random.IntN(3)])
		}},
		{"reorder", func(p *program) { p.sql("ALTER TABLE t MODIFY b BIGINT UNSIGNED NOT NULL FIRST") }},
		{"reorder back", func(p *program) { p.sql("ALTER TABLE t MODIFY a BIGINT UNSIGNED NOT NULL FIRST") }},
		{"narrow", func(p *program) { p.sql("ALTER TABLE t MODIFY b INT UNSIGNED NOT NULL") }},
		{"swap columns", func(p *program) {
			p.sql("ALTER TABLE t CHANGE a b BIGINT UNSIGNED NOT NULL, CHANGE b a BIGINT UNSIGNED NOT NULL")
		}},
		{"swap tables", func(p *program) {
			p.sql("DROP TABLE IF EXISTS _new, _old")
			p.sql("CREATE TABLE _new LIKE t")
			p.sql("INSERT INTO _new (a, b) SELECT a + %d, b FROM t WHERE b %% 3 > 0", p.random.IntN(5))
			p.sql("RENAME TABLE t TO _old, _new TO t")
		}},
		{"truncate", func(p *program) { p.sql("TRUNCATE TABLE t") }},
		{"create again", func(p *program) {
			p.sql("DROP TABLE t")
			p.sql("CREATE TABLE t (b BIGINT UNSIGNED NOT NULL, a BIGINT UNSIGNED NOT NULL, UNIQUE KEY (b, a))")
		}},
		{"index", func(p *program) { p.sql("ALTER TABLE t ADD INDEX (a), COMMENT 'x'") }},
		{"away and back", func(p *program) { p.sql("RENAME TABLE t TO away"); p.rowsOf("away"); p.sql("RENAME TABLE away TO t") }},
		{"statement", func(p *program) {
			p.s.run(p.t, p.schema, "SET SESSION binlog_format = 'STATEMENT'", fmt.Sprintf("DELETE FROM t WHERE a %% 7 = %d", p.random.IntN(7)))
		}},
		{"rescan", func(p *program) { p.k.rescan("t.a.b"); p.k.rescan("t.b.a") }},
		{"wait", (*program).settle},
		{"restart", func(p *program) { p.k = p.k.restart() }},
		{"stop", func(p *program) { // what follows is read later, and behind
			o, index := p.k.resume(), p.k.index
			p.some(4, 10)
			p.k = p.s.start(p.t, o, index)
		}},
	}
}

func (p *program) sql(format string, args ...any) {
	p.t.Helper()
	statement := fmt.Sprintf(format, args...)
	p.said = append(p.said, statement)
	p.s.run(p.t, p.schema, statement)
}

// settle waits until all is live, and compares. For a moment a table may not be
// there, and its relations halted: also after all has been live, while the stream
// is behind.
func (p *program) settle() {
	p.t.Helper()
	position := p.s.position(p.t)
	p.k.wait("all is live", func() bool {
		return p.k.covers(position) && !slices.ContainsFunc(p.k.index.Status(), func(r indexer.RelationStatus) bool { return r.State != indexer.Live })
	})
	p.k.exact()
}

func (p *program) rows() { p.rowsOf("t") }

func (p *program) rowsOf(table string) {
	for range 1 + p.random.IntN(4) {
		a, b := p.random.IntN(30), p.random.IntN(30)
		switch p.random.IntN(3) {
		case 0:
			p.sql("DELETE FROM %s WHERE a = %d", table, a)
		case 1:
			p.sql("UPDATE IGNORE %s SET b = %d WHERE a = %d", table, b, a)
		default:
			p.sql("INSERT IGNORE INTO %s (a, b) VALUES (%d, %d), (%d, %d)", table, a, b, b, a)
		}
	}
}

// some takes n of the first of the steps.
func (p *program) some(n, of int) {
	for range n {
		step := steps()[p.random.IntN(of)]
		p.said = append(p.said, "# "+step.name)
		step.do(p)
	}
}

// TestRandomPrograms mixes rows, definitions, rescans and restarts.
func TestRandomPrograms(t *testing.T) {
	programs := 2
	if long {
		programs = 60
	}
	eachSource(t, func(t *testing.T, s *source) {
		for seed := range programs {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				schema := s.schema(t)
				s.run(t, schema, "CREATE TABLE t (a BIGINT UNSIGNED NOT NULL, b BIGINT UNSIGNED NOT NULL, PRIMARY KEY (a, b))", "INSERT INTO t VALUES (1, 2), (2, 3)",
					"CREATE TABLE safe (a INT, b INT, PRIMARY KEY (a, b))", "INSERT INTO safe VALUES (1, 2)")
				p := &program{t: t, s: s, schema: schema, random: rand.New(rand.NewPCG(uint64(seed), 9))}
				p.k = s.follow(t, schema, "t.a.b", "t.b.a", "safe.a.b")
				p.k.exact()
				defer func() {
					if t.Failed() {
						for _, said := range p.said {
							t.Log(said)
						}
					}
				}()
				p.some(25, len(steps()))
				p.settle()
			})
		}
	})
}

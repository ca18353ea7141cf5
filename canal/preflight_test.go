package canal_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// unfit are tables that cannot be followed, each with what the refusal says.
var unfit = []struct {
	name     string
	on       func(s *source) bool
	create   []string
	relation string
	words    []string
}{
	{name: "unknown table", relation: "missing.a.b", words: []string{"table SCHEMA.missing does not exist", "check the relation's table"}},
	{name: "unknown column", relation: "pair.a.z", words: []string{"relation pair.a.z", "no column z", "its columns are a, b"}},
	{name: "text as value", create: []string{"CREATE TABLE x (a VARCHAR(10), b INT, PRIMARY KEY (a, b))"}, relation: "x.b.a",
		words: []string{"column a is varchar(10)", "values of integers"}},
	{name: "text both ways", create: []string{"CREATE TABLE x (a VARCHAR(10), b INT, PRIMARY KEY (a, b))"}, relation: "x.a=b",
		words: []string{"column a is varchar(10)", "leave out symmetric"}},
	{name: "text of wide blanks", create: []string{"CREATE TABLE x (a CHAR(10) CHARACTER SET utf16, b INT, PRIMARY KEY (a, b))"}, relation: "x.a.b",
		words: []string{"column a is char(10)"}},
	{name: "compressed text", on: func(s *source) bool { return s.atLeast(sandbox.MariaDB, "10.3.2") },
		create: []string{"CREATE TABLE x (a VARCHAR(100) COMPRESSED, b INT PRIMARY KEY)"}, relation: "x.a.b", words: []string{"column a is varchar(100) /*", "name another column"}},
	{name: "text that is computed", create: []string{"CREATE TABLE x (b INT PRIMARY KEY, a VARCHAR(10) AS (CONCAT('x', b)) VIRTUAL)"}, relation: "x.a.b",
		words: []string{"column a is computed", "ALTER TABLE SCHEMA.x to make it STORED"}},
	{name: "filter of an unknown column", relation: "pair.a.b?c==1", words: []string{"relation pair.a.b?c==1 cannot be read from table SCHEMA.pair", "where c==1: it has no column c", "its columns are a, b"}},
	{name: "filter of another type", relation: `pair.a.b?b=="x"`, words: []string{`where b=="x": column b is bigint`, "compare it with a whole number"}},
	{name: "filter of a float", create: []string{"CREATE TABLE x (a INT, b INT, c FLOAT, d JSON, PRIMARY KEY (a, b))"}, relation: "x.a.b?c>1",
		words: []string{"where c>1: column c is float"}},
	{name: "filter of a computed column", create: []string{"CREATE TABLE x (a INT, b INT, c INT AS (a + b) VIRTUAL, PRIMARY KEY (a, b))"}, relation: "x.a.b?c>1",
		words: []string{"where c>1: column c is computed when it is read", "ALTER TABLE SCHEMA.x to make it STORED"}},
	{name: "filter of another character set", create: []string{"CREATE TABLE x (a INT, b INT, c VARCHAR(9) CHARACTER SET ucs2, PRIMARY KEY (a, b))"}, relation: `x.a.b?c=="x"`,
		words: []string{"column c is of character set ucs2"}},
	{name: "decimal column", create: []string{"CREATE TABLE x (a INT, b DECIMAL(10,0), PRIMARY KEY (a, b))"}, relation: "x.a.b",
		words: []string{"column b is decimal(10,0)"}},
	{name: "year column", create: []string{"CREATE TABLE x (a INT, b YEAR, PRIMARY KEY (a, b))"}, relation: "x.a.b", words: []string{"column b is year"}},
	{name: "bit column", create: []string{"CREATE TABLE x (a INT, b BIT(20), PRIMARY KEY (a, b))"}, relation: "x.b.a", words: []string{"column b is bit(20)"}},
	{name: "view", create: []string{"CREATE VIEW x AS SELECT * FROM pair"}, relation: "x.a.b", words: []string{"it is a view", "only plain tables"}},
	{name: "another engine", create: []string{"CREATE TABLE x (a INT, b INT, PRIMARY KEY (a, b)) ENGINE=MyISAM"}, relation: "x.a.b",
		words: []string{"its engine is MyISAM", "ALTER TABLE SCHEMA.x ENGINE = InnoDB"}},
	{name: "system-versioned", on: (*source).isMaria,
		create:   []string{"CREATE TABLE x (a INT, b INT, PRIMARY KEY (a, b)) WITH SYSTEM VERSIONING"},
		relation: "x.a.b", words: []string{"it is a system versioned", "only plain tables"}},
	{name: "sequence", on: (*source).isMaria, create: []string{"CREATE SEQUENCE x"}, relation: "x.minimum_value.cycle_count", words: []string{"it is a sequence"}},
}

func TestUnfitTablesAreRefused(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, createPair)
		for _, u := range unfit {
			if u.on != nil && !u.on(s) {
				continue
			}
			t.Run(u.name, func(t *testing.T) {
				s.run(t, schema, u.create...)
				if len(u.create) > 0 {
					kind := strings.Fields(u.create[0])[1]
					defer s.run(t, schema, "DROP "+kind+" x")
				}
				k := s.follow(t, schema, "pair.a.b", u.relation)
				wantError(t, k.refused(), inSchema(schema, u.words)...)
			})
		}
		t.Run("all at once", func(t *testing.T) {
			k := s.follow(t, schema, "missing.a.b", "pair.y.b", "pair.a.z")
			wantError(t, k.refused(), "missing does not exist", "no column y", "no column z", "relation pair.y.b", "relation pair.a.z")
		})
		t.Run("unknown schema", func(t *testing.T) {
			k := s.follow(t, "no_such_schema", "pair.a.b")
			wantError(t, k.refused(), "may not read table no_such_schema.pair", "GRANT SELECT ON `no_such_schema`.*", "does not exist")
		})
		t.Run("unknown schema, all rights", func(t *testing.T) {
			o := s.as(t, s.options(t, "no_such_schema", "pair.a.b"), "SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.*")
			wantError(t, s.start(t, o, newIndex(relationsOf(o))).refused(), "no_such_schema.pair does not exist")
		})
	})
}

// as returns options to follow with another account, which has these rights.
func (s *source) as(t *testing.T, o canal.Options, rights ...string) canal.Options {
	t.Helper()
	user := fmt.Sprintf("user%d", schemas.Add(1))
	statements := []string{"SET sql_log_bin = 0", "CREATE USER " + user + " IDENTIFIED BY 'of-" + user + "'"}
	for _, r := range rights {
		statements = append(statements, "GRANT "+r+" TO "+user)
	}
	s.run(t, "", statements...)
	t.Cleanup(func() { s.run(t, "", "SET sql_log_bin = 0", "DROP USER "+user) })
	o.User, o.Password = user, func() (string, error) { return "of-" + user, nil }
	return o
}

func TestRights(t *testing.T) {
	const replication = "REPLICATION SLAVE, REPLICATION CLIENT ON *.*"
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, createPair, "INSERT INTO pair VALUES (1, 1)")
		o := s.options(t, schema, "pair.a.b")
		lock := "LOCK TABLES ON " + schema + ".*"
		read := "SELECT ON " + schema + ".*"
		cases := []struct {
			name   string
			rights []string
			words  []string // of the refusal, none if there is none
		}{
			{"no SELECT", []string{replication, lock}, []string{"may not read table " + schema + ".pair", "GRANT SELECT ON `" + schema + "`.*"}},
			{"SELECT of columns", []string{replication, lock, "SELECT (a, b) ON " + schema + ".pair"}, []string{"GRANT SELECT ON `" + schema + "`.*"}},
			{"SELECT of the table", []string{replication, lock, "SELECT ON " + schema + ".pair"}, nil},
			{"no REPLICATION SLAVE", []string{"REPLICATION CLIENT ON *.*", lock, read}, []string{"GRANT REPLICATION SLAVE"}},
		}
		if !s.isMaria() {
			cases = append(cases, struct {
				name   string
				rights []string
				words  []string
			}{"no REPLICATION CLIENT", []string{"REPLICATION SLAVE ON *.*", lock, read}, []string{"GRANT", "REPLICATION CLIENT"}})
		}
		if !s.isMaria() && !s.gtid {
			cases = append(cases, struct {
				name   string
				rights []string
				words  []string
			}{"no LOCK TABLES", []string{replication, read}, []string{"GRANT LOCK TABLES ON `" + schema + "`.*", "gtid_mode=ON"}})
		}
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				o := s.as(t, o, c.rights...)
				k := s.start(t, o, newIndex(relationsOf(o)))
				if len(c.words) == 0 {
					k.exact()
					return
				}
				wantError(t, k.refused(), c.words...)
				if rows := k.follower.Status().Rows[0].Snapshot; rows != 0 {
					t.Errorf("%d rows were read before the refusal", rows)
				}
			})
		}
	})
}

func TestWrongPassword(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		o := s.options(t, "x", "pair.a.b")
		o.Password = func() (string, error) { return "Not-The-Passw0rd", nil }
		err := s.start(t, o, newIndex(relationsOf(o))).refused()
		wantError(t, err, "refuses user "+s.User(), "source.password")
		if strings.Contains(err.Error(), "Not-The-Passw0rd") {
			t.Errorf("error %q tells the password", err)
		}
		o.Password = func() (string, error) { return "", errors.New("the file of the password is gone") }
		wantError(t, s.start(t, o, newIndex(relationsOf(o))).refused(), "the file of the password is gone")
	})
}

func TestServerSettings(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, createPair)
		for _, format := range []string{"STATEMENT", "MIXED"} {
			t.Run(format, func(t *testing.T) {
				s.setGlobal(t, "binlog_format", format)
				wantError(t, s.follow(t, schema, "pair.a.b").refused(), "binlog_format is "+format, "SET GLOBAL binlog_format = 'ROW'")
			})
		}
	})
}

func TestServerDown(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		s := startSource(t, o)
		schema := s.schema(t)
		s.run(t, schema, createPair, "INSERT INTO pair VALUES (1, 1)")
		k := s.follow(t, schema, "pair.a.b")
		k.exact()
		resume := k.resume()
		s.Kill()
		wantError(t, s.follow(t, schema, "pair.a.b").refused(), "reach the source "+s.Address(), "connection refused")

		// With something to serve it waits for the server.
		k = s.start(t, resume, k.index)
		k.wait("the first try", func() bool { return k.follower.Status().Error != "" })
		if lag := k.follower.Lag(); lag == 0 {
			t.Error("lag is 0 without a source")
		}
		if err := s.Restart(testContext(t)); err != nil {
			t.Fatal(err)
		}
		s.run(t, schema, "INSERT INTO pair VALUES (2, 2)")
		k.exact()
		s.schema(t)
	})
}

func TestNoBinlog(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		o.Args = append(o.Args, "--skip-log-bin")
		s := startSource(t, o)
		schema := s.schema(t)
		s.run(t, schema, createPair)
		wantError(t, s.follow(t, schema, "pair.a.b").refused(), "log_bin is OFF", "--log-bin")
	})
}

// TestReplicaWithoutUpdates follows a replica that keeps what it replicates to
// itself.
func TestReplicaWithoutUpdates(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		primary := startSource(t, o)
		primary.run(t, "", "CREATE DATABASE social", "CREATE TABLE social.pair (a INT PRIMARY KEY)", "INSERT INTO social.pair VALUES (1)")
		o.Args = append(o.Args, "--skip-log-slave-updates")
		server, err := sandbox.StartReplica(testContext(t), primary.Server, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { server.Close() })
		if err := server.WaitFor(testContext(t), primary.Server); err != nil {
			t.Fatal(err)
		}
		s := &source{server, o.GTID}
		wantError(t, s.follow(t, "social", "pair.a.a").refused(), "is a replica", "log_replica_updates=ON", "follow its primary")
	})
}

// TestGeneratedPrimaryKey follows a table whose primary key the server has made
// up, and hides if it is told to.
func TestGeneratedPrimaryKey(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		if !s.atLeast(sandbox.MySQL, "8.0.30") {
			return // knows no such thing
		}
		for _, show := range []string{"ON", "OFF"} {
			t.Run("show="+show, func(t *testing.T) {
				s.setGlobal(t, "show_gipk_in_create_table_and_information_schema", show)
				schema := s.schema(t)
				s.run(t, schema, "SET SESSION sql_generate_invisible_primary_key = ON",
					"CREATE TABLE g (a BIGINT UNSIGNED, x VARCHAR(10), b BIGINT UNSIGNED, UNIQUE KEY (a, b))", "INSERT INTO g VALUES (1, 'x', 2), (3, NULL, 4)")
				k := s.follow(t, schema, "g.a.b")
				k.exact()
				s.run(t, schema, "INSERT INTO g VALUES (5, 'y', 18446744073709551615)", "UPDATE g SET b = 7 WHERE a = 1", "DELETE FROM g WHERE a = 3")
				k.followed()
			})
		}
	})
}

// TestGlobalModes reads a source whose defaults for sessions are unusual.
func TestGlobalModes(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		modes := []string{"ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,IGNORE_SPACE", "ANSI"}
		if s.isMaria() {
			modes = append(modes, "ORACLE", "EMPTY_STRING_IS_NULL,MSSQL")
		}
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE pair (a BIGINT NOT NULL, b BIGINT NOT NULL DEFAULT 3, x VARCHAR(9) DEFAULT '', PRIMARY KEY (a, b))",
			"INSERT INTO pair VALUES (1, 1, ''), (2, 2, 'x')",
			"CREATE TABLE parent (id INT PRIMARY KEY)",
			"CREATE TABLE child (k INT, v INT, UNIQUE KEY (k, v), FOREIGN KEY (k) REFERENCES parent (id) ON DELETE CASCADE)")
		for _, mode := range modes {
			t.Run(mode, func(t *testing.T) {
				s.setGlobal(t, "sql_mode", mode)
				s.follow(t, schema, "pair.a.b").exact()
				k := s.follow(t, schema, "child.k.v")
				k.exact()
				s.run(t, schema, "INSERT INTO parent VALUES (1), (2)", "INSERT INTO child VALUES (1, 5), (2, 5)", "DELETE FROM parent WHERE id = 1")
				k.exact()
				k.trusted("child.k.v")
				s.run(t, schema, "DELETE FROM parent")
			})
		}
		t.Run("autocommit=0", func(t *testing.T) {
			s.setGlobal(t, "autocommit", "0")
			k := s.follow(t, schema, "pair.a.b")
			k.exact()
			s.run(t, schema, "INSERT INTO pair VALUES (3, 3, '')", "COMMIT")
			k.exact()
		})
	})
}

// TestNamesThatDifferInCase follows two tables whose names only case tells
// apart, where the server does.
func TestNamesThatDifferInCase(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		if s.query(t, "SELECT @@lower_case_table_names") != "0" {
			return // the server does not
		}
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE case_ (a INT, b INT, PRIMARY KEY (a, b))", "CREATE TABLE CASE_ (x INT, b BIGINT, a BIGINT, PRIMARY KEY (a, b))",
			"INSERT INTO case_ VALUES (1, 2)", "INSERT INTO CASE_ VALUES (0, 3, 4)")
		k := s.follow(t, schema, "case_.a.b", "CASE_.a.b")
		k.exact()
		s.run(t, schema, "INSERT INTO case_ VALUES (5, 6)", "INSERT INTO CASE_ VALUES (0, 7, 8)", "TRUNCATE TABLE CASE_", "INSERT INTO CASE_ VALUES (1, 9, 9)")
		k.exact()
		s.run(t, schema, "ALTER TABLE CASE_ ADD COLUMN z INT")
		k.exact()
		k.doubted("CASE_.a.b", "definition may have changed")
		k.trusted("case_.a.b")
	})
}

// What a server's defaults make of our sessions must not change what we read.
func TestServerDefaultsDoNotReachOurSessions(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		s := startSource(t, o)
		schema := s.schema(t)
		s.run(t, schema,
			"CREATE TABLE follows (a INT, b INT, PRIMARY KEY (a, b))",
			"INSERT INTO follows VALUES (1,0)"+manyEdges(50),
			"CREATE TABLE users (id INT PRIMARY KEY)",
			"CREATE TABLE kin (a INT, b INT, PRIMARY KEY (a, b), FOREIGN KEY (a) REFERENCES users (id) ON DELETE CASCADE)")

		s.run(t, "", "SET GLOBAL sql_select_limit = 20")
		k := s.follow(t, schema, "follows.a.b")
		k.wait("read the table", func() bool { return k.index.State(0) == indexer.Live })
		s.run(t, "", "SET GLOBAL sql_select_limit = 18446744073709551615")
		k.exact()

		if s.isMaria() || !s.atLeast(sandbox.MySQL, "9.6") { // later ones log the cascade
			s.setGlobal(t, "sql_quote_show_create", "0")
			s.run(t, schema, "INSERT INTO users VALUES (1)", "INSERT INTO kin VALUES (1, 2)")
			k := s.follow(t, schema, "kin.a.b")
			k.exact()
			s.run(t, schema, "DELETE FROM users")
			k.exact()
		}
	})
}

// manyEdges returns n more rows of two integers.
func manyEdges(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ",(2,%d)", i)
	}
	return b.String()
}

// A schema that the source leaves out of its binlog cannot be followed.
func TestSchemaOutsideTheBinlogIsRefused(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		o.Args = []string{"--binlog-ignore-db=unlogged"}
		s := startSource(t, o)
		s.run(t, "", "CREATE DATABASE unlogged",
			"GRANT SELECT ON unlogged.* TO '"+s.User()+"'@'%'",
			"CREATE TABLE unlogged.follows (a INT, b INT, PRIMARY KEY (a, b))")
		err := s.follow(t, "unlogged", "follows.a.b").refused()
		if err == nil || !strings.Contains(err.Error(), "binlog-ignore-db") {
			t.Errorf("following it ended with %v, want a refusal that names binlog-ignore-db", err)
		}
		s.run(t, "", "CREATE TABLE unlogged.users (id INT PRIMARY KEY)")
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE f (a INT, b INT, PRIMARY KEY (a, b), FOREIGN KEY (b) REFERENCES unlogged.users (id) ON DELETE CASCADE)")
		k := s.follow(t, schema, "f.a.b")
		if s.atLeast(sandbox.MySQL, "9.6") { // which logs what foreign keys do
			k.exact()
			return
		}
		wantError(t, k.refused(), "rows change with those of unlogged.users", "binlog-ignore-db=unlogged")
	})
}

// TestImagesThatLackColumns: a source whose images leave out what a filter needs is
// refused, since every other row would put the relation in doubt. So is one whose
// images leave out what its keys are made of.
func TestImagesThatLackColumns(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE t (a INT, b INT, c INT, d TEXT, PRIMARY KEY (a, b))", "CREATE TABLE names (name TEXT, id INT PRIMARY KEY)",
			"CREATE TABLE bare (name TEXT, id INT)", "CREATE TABLE filled (name TEXT, id INT, x INT NOT NULL UNIQUE)",
			"CREATE TABLE pair (a INT NOT NULL, b INT NOT NULL, c INT, UNIQUE KEY (a, b))", "CREATE TABLE loose (name TEXT, id INT, x INT UNIQUE)", "CREATE TABLE two (a INT NOT NULL, b INT NOT NULL, x INT NOT NULL, UNIQUE KEY (a, b), UNIQUE KEY (x))")
		filled, unique := " NOT NULL", ""
		if s.isMaria() { // which has no such computed columns, and hashes long texts
			filled, unique = "", " UNIQUE"
		}
		s.run(t, schema, "CREATE TABLE made (a INT, b INT, v INT AS (a + b) VIRTUAL"+filled+" UNIQUE)",
			"CREATE TABLE `long` (a INT, b INT, url TEXT NOT NULL"+unique+")")
		for _, test := range []struct{ image, relation, want string }{
			{"MINIMAL", "t.a.b?c==1", "which leaves c out of rows"},
			{"NOBLOB", `t.a.b?d=="x"`, "which leaves d out of rows"},
			{"NOBLOB", "names.name.id", "which leaves name out of deleted rows"},
			{"MINIMAL", "names.name.id", "which leaves name and id out of deleted rows"},
			{"NOBLOB", "bare.name.id", ""}, // rows are known by all of their columns
			{"MINIMAL", "bare.name.id", ""},
			{"NOBLOB", "filled.name.id", "which leaves name out of deleted rows, since it is not in the unique key"},
			{"MINIMAL", "filled.name.id", "which leaves name and id out of deleted rows, since they are not in the unique key"},
			{"MINIMAL", "pair.a.b?c==1", "which leaves c out of rows, since it is not in the unique key"},
			{"MINIMAL", "loose.name.id", ""}, // its key may hold NULL, which tells no rows apart
			{"MINIMAL", "two.a.b", ""},       // one of its keys will do
			{"MINIMAL", "made.a.b", ""},      // its key is computed, and stands for no primary key
			{"MINIMAL", "long.a.b", ""},
			{"MINIMAL", "t.a.b?a>b", ""},
			{"NOBLOB", "t.a.b?c==1", ""},
		} {
			s.setGlobal(t, "binlog_row_image", test.image)
			k := s.follow(t, schema, test.relation)
			if test.want == "" {
				k.exact()
				k.halt()
				continue
			}
			wantError(t, k.refused(), "binlog_row_image is "+test.image, test.want, "SET GLOBAL binlog_row_image = 'FULL'")
		}
	})
}

package sandbox

import (
	"context"
	"slices"
	"strings"
	"testing"
)

func TestGrantSQL(t *testing.T) {
	mysql := GrantSQL(MySQL, "kith", `it's a \ secret`, "my_app")
	want := []string{
		`CREATE USER 'kith'@'%' IDENTIFIED BY 'it''s a \\ secret'`,
		`GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'kith'@'%'`,
		"GRANT SELECT ON `my\\_app`.* TO 'kith'@'%'",
		"GRANT LOCK TABLES ON `my\\_app`.* TO 'kith'@'%'",
	}
	if !slices.Equal(mysql, want) {
		t.Errorf("on MySQL:\n%s\nwant:\n%s", strings.Join(mysql, "\n"), strings.Join(want, "\n"))
	}
	if mariadb := GrantSQL(MariaDB, "kith", `it's a \ secret`, "my_app"); !slices.Equal(mariadb, want[:3]) {
		t.Errorf("on MariaDB:\n%s\nwant:\n%s", strings.Join(mariadb, "\n"), strings.Join(want[:3], "\n"))
	}
}

// TestGrants tries everything that kith asks of a source, and what it must not
// be able to do.
func TestGrants(t *testing.T) {
	eachServer(t, func(t *testing.T, ctx context.Context, b Binary) {
		for _, gtid := range []bool{false, true} {
			s := start(t, ctx, Options{Binary: b, GTID: gtid, Fast: true, Schemas: []string{"social", "a_b"}})
			execute(t, ctx, s, "CREATE DATABASE social", createT, "INSERT INTO social.t VALUES (1)",
				"CREATE DATABASE a_b", "CREATE TABLE a_b.t (id INT PRIMARY KEY)",
				"CREATE DATABASE axb", "CREATE TABLE axb.t (id INT PRIMARY KEY)")
			conn, err := openAs(t, followerConfig(s)).Conn(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()

			allowed := []string{
				s.words().binlogStatus, "SHOW BINARY LOGS",
				"SELECT id FROM social.t", "SELECT id FROM a_b.t",
				"SELECT * FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'social'",
				"SELECT * FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = 'social'",
				"SELECT * FROM information_schema.REFERENTIAL_CONSTRAINTS",
				"SHOW CREATE TABLE social.t",
				"START TRANSACTION WITH CONSISTENT SNAPSHOT", "COMMIT",
			}
			switch {
			case b.Flavor == MariaDB:
				allowed = append(allowed, "SELECT @@gtid_binlog_pos, @@gtid_slave_pos, BINLOG_GTID_POS('binlog.000001', 4)",
					"SHOW STATUS LIKE 'binlog_snapshot%'", "SET @slave_connect_state = ''")
			case gtid:
				allowed = append(allowed, "SELECT @@GLOBAL.gtid_executed, @@GLOBAL.gtid_purged, WAIT_FOR_EXECUTED_GTID_SET(@@GLOBAL.gtid_executed, 1)")
			default:
				allowed = append(allowed, "LOCK TABLES social.t READ", "UNLOCK TABLES")
			}
			for _, statement := range allowed {
				if _, err := conn.ExecContext(ctx, statement); err != nil {
					t.Errorf("gtid=%t: %s: %v, want it allowed", gtid, statement, err)
				}
			}
			refused := []string{
				"INSERT INTO social.t VALUES (2)", "UPDATE social.t SET id = 9", "DELETE FROM social.t",
				"CREATE TABLE social.u (id INT)", "DROP TABLE social.t", "TRUNCATE social.t",
				"SELECT id FROM axb.t", "SELECT * FROM mysql.user", "FLUSH TABLES WITH READ LOCK",
				"SET GLOBAL max_connections = 10", "SET sql_log_bin = 0", "CREATE USER intruder",
			}
			for _, statement := range refused {
				if _, err := conn.ExecContext(ctx, statement); err == nil {
					t.Errorf("gtid=%t: %s: allowed, want it refused", gtid, statement)
				}
			}
		}
	})
}

package sandbox

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

const createT = "CREATE TABLE social.t (id BIGINT UNSIGNED PRIMARY KEY) ENGINE=InnoDB"

func TestLife(t *testing.T) {
	eachServer(t, func(t *testing.T, ctx context.Context, b Binary) {
		s := start(t, ctx, Options{Binary: b})
		address := s.Address()
		execute(t, ctx, s, "CREATE DATABASE social", createT, "INSERT INTO social.t VALUES (1), (2)")

		if err := s.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		if err := s.DB().PingContext(ctx); err == nil {
			t.Error("a stopped server answers")
		}
		if err := s.Stop(ctx); err != nil {
			t.Errorf("second stop: %v, want none", err)
		}
		restart(t, ctx, s)
		if got := s.Address(); got != address {
			t.Errorf("address after a restart = %s, want %s", got, address)
		}

		execute(t, ctx, s, "INSERT INTO social.t VALUES (3)")
		s.Kill()
		restart(t, ctx, s)
		if got := count(t, ctx, s, "SELECT COUNT(*) FROM social.t"); got != 3 {
			t.Errorf("rows after kill and restart = %d, want 3", got)
		}
		if s.Kill(); s.process.alive() {
			t.Error("a killed server is alive")
		}
	})
}

// restart restarts s and says how long that took.
func restart(t *testing.T, ctx context.Context, s *Server) {
	t.Helper()
	began := time.Now()
	if err := s.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("answered again after %d ms", time.Since(began).Milliseconds())
}

func TestFreeze(t *testing.T) {
	eachServer(t, func(t *testing.T, ctx context.Context, b Binary) {
		s := start(t, ctx, Options{Binary: b, Fast: true})
		if err := s.Freeze(); err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		if err := s.DB().PingContext(short); err == nil {
			t.Error("a frozen server answers")
		}
		if err := s.Thaw(); err != nil {
			t.Fatal(err)
		}
		if err := s.DB().PingContext(ctx); err != nil {
			t.Errorf("a thawed server does not answer: %v", err)
		}
		// A frozen one can be stopped, and (by the cleanup) removed.
		if err := s.Freeze(); err != nil {
			t.Fatal(err)
		}
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
		restart(t, ctx, s)
		if err := s.Freeze(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestReplica(t *testing.T) {
	eachServer(t, func(t *testing.T, ctx context.Context, b Binary) {
		for _, gtid := range []bool{false, true} {
			if gtid && b.Flavor == MariaDB {
				continue // it always has them
			}
			t.Run(fmt.Sprintf("gtid=%t", gtid), func(t *testing.T) {
				primary := start(t, ctx, Options{Binary: b, GTID: gtid, Fast: true})
				execute(t, ctx, primary, "CREATE DATABASE social", createT, "INSERT INTO social.t VALUES (1)")

				replica, err := StartReplica(ctx, primary, Options{Fast: true})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := replica.Close(); err != nil {
						t.Error(err)
					}
				})
				execute(t, ctx, primary, "INSERT INTO social.t VALUES (2), (3)")
				if err := replica.WaitFor(ctx, primary); err != nil {
					t.Fatal(err)
				}
				if got := count(t, ctx, replica, "SELECT COUNT(*) FROM social.t"); got != 3 {
					t.Errorf("rows on the replica = %d, want 3", got)
				}
				// What it applies is in its own binlog, for those that follow it.
				if got := binlogRows(t, ctx, replica); got != 2 {
					t.Errorf("row events in the replica's binlog = %d, want 2", got)
				}

				// A row that the replica has already stops it, which is told.
				execute(t, ctx, replica, "INSERT INTO social.t VALUES (4)")
				execute(t, ctx, primary, "INSERT INTO social.t VALUES (4)")
				if err := replica.WaitFor(ctx, primary); err == nil || !strings.Contains(err.Error(), "replication has stopped") {
					t.Errorf("WaitFor a replica that broke = %v, want that replication has stopped", err)
				}
			})
		}
	})
}

// binlogRows counts the row events in the server's first binlog file.
func binlogRows(t *testing.T, ctx context.Context, s *Server) int {
	t.Helper()
	rows, err := s.DB().QueryContext(ctx, "SHOW BINLOG EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		var file, pos, kind, server, end, text string
		if err := rows.Scan(&file, &pos, &kind, &server, &end, &text); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(kind, "Write_rows") {
			n++
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSettings(t *testing.T) {
	eachServer(t, func(t *testing.T, ctx context.Context, b Binary) {
		s := start(t, ctx, Options{Binary: b, GTID: true, Args: []string{"--binlog-row-image=MINIMAL"}})
		settings := map[string]string{
			"log_bin":                        "1",
			"binlog_format":                  "ROW",
			"binlog_row_image":               "MINIMAL",
			"sync_binlog":                    "1",
			"innodb_flush_log_at_trx_commit": "1",
			"skip_name_resolve":              "1",
			"bind_address":                   "127.0.0.1",
			"time_zone":                      "+00:00",
		}
		if b.Flavor == MySQL {
			settings["gtid_mode"] = "ON"
		}
		for name, want := range settings {
			var got string
			if err := s.DB().QueryRowContext(ctx, "SELECT @@GLOBAL."+name).Scan(&got); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got != want {
				t.Errorf("%s = %s, want %s", name, got, want)
			}
		}
		// The accounts are no news for a follower.
		if got := binlogRows(t, ctx, s); got != 0 {
			t.Errorf("row events before any statement = %d, want 0", got)
		}
	})
}

func TestTLS(t *testing.T) {
	eachServer(t, func(t *testing.T, ctx context.Context, b Binary) {
		files, err := MakeTLS(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		s := start(t, ctx, Options{Binary: b, TLS: files, Fast: true})
		pem, err := os.ReadFile(files.CA)
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.LoadX509KeyPair(files.ClientCert, files.ClientKey)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)

		execute(t, ctx, s, "ALTER USER 'kith'@'%' REQUIRE X509")
		config := followerConfig(s)
		config.TLS = &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", Certificates: []tls.Certificate{pair}}
		if err := pingAs(ctx, t, config); err != nil {
			t.Errorf("connect with the authority that signed: %v", err)
		}
		config.TLS = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1"}
		if unknown := (x509.UnknownAuthorityError{}); !errors.As(pingAs(ctx, t, config), &unknown) {
			t.Error("a server that nobody vouches for is trusted")
		}
		config.TLS = &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
		if err := pingAs(ctx, t, config); err == nil {
			t.Error("a client without a certificate gets in, although one is required")
		}
	})
}

// followerConfig is how kith connects.
func followerConfig(s *Server) *mysql.Config {
	config := mysql.NewConfig()
	config.Net, config.Addr, config.User, config.Passwd = "tcp", s.Address(), s.User(), s.Password()
	config.AllowFallbackToPlaintext = false
	config.Logger = &mysql.NopLogger{}
	return config
}

// openAs returns a pool that is closed with the test.
func openAs(t *testing.T, config *mysql.Config) *sql.DB {
	t.Helper()
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return db
}

func pingAs(ctx context.Context, t *testing.T, config *mysql.Config) error {
	t.Helper()
	return openAs(t, config).PingContext(ctx)
}

func TestManyAtOnce(t *testing.T) {
	eachServer(t, func(t *testing.T, ctx context.Context, b Binary) {
		// No template there yet: all of them make one.
		t.Setenv("XDG_CACHE_HOME", t.TempDir())
		const servers = 3
		addresses := make([]string, servers)
		var wait sync.WaitGroup
		for i := range servers {
			wait.Go(func() {
				s, err := Start(ctx, Options{Binary: b, Fast: true})
				if err != nil {
					t.Error(err)
					return
				}
				addresses[i] = s.Address()
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		cache, err := cacheDir()
		if err != nil {
			t.Fatal(err)
		}
		left, err := os.ReadDir(cache)
		if err != nil || len(left) != 1 || left[0].Name() != templateName(b, nil) {
			t.Errorf("cache = %v, %v, want %s alone", left, err, templateName(b, nil))
		}
	})
}

func TestPortTaken(t *testing.T) {
	eachServer(t, func(t *testing.T, ctx context.Context, b Binary) {
		s := start(t, ctx, Options{Binary: b, Fast: true})
		other := start(t, ctx, Options{Binary: b, Fast: true})
		if err := other.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		other.port = s.port
		if err := other.Restart(ctx); !errors.Is(err, errPortTaken) {
			t.Errorf("start on a taken port = %v, want %v", err, errPortTaken)
		}
	})
}

func TestDeepFolder(t *testing.T) {
	eachServer(t, func(t *testing.T, ctx context.Context, b Binary) {
		dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 30))
		s := start(t, ctx, Options{Binary: b, Dir: dir, Fast: true})
		socketDir := filepath.Dir(s.Socket())
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(socketDir); !os.IsNotExist(err) {
			t.Errorf("folder of the socket %s after Close: %v, want it gone", socketDir, err)
		}
	})
}

func TestStartFails(t *testing.T) {
	eachServer(t, func(t *testing.T, ctx context.Context, b Binary) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "precious"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		cases := []struct {
			name    string
			options Options
			want    string
		}{
			{"folder in use", Options{Binary: b, Dir: dir}, "is not empty"},
			{"unknown argument", Options{Binary: b, Args: []string{"--no-such-thing"}}, "no-such-thing"},
		}
		for _, c := range cases {
			s, err := Start(ctx, c.options)
			if err == nil {
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want an error that says %q", c.name, err, c.want)
			}
		}
		if _, err := os.Stat(filepath.Join(dir, "precious")); err != nil {
			t.Errorf("file in a folder that was refused: %v", err)
		}
	})
}

// TestDiesWithParent kills a program that has started a server, as nothing can
// be tidied up in, and looks what is left of the server.
func TestDiesWithParent(t *testing.T) {
	eachServer(t, func(t *testing.T, ctx context.Context, b Binary) {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+b.Path)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err == nil {
			t.Error("the child ended by itself")
		}

		var dir, socket string
		var pid int
		if _, err := fmt.Sscan(line, &dir, &pid, &socket); err != nil {
			t.Fatalf("child said %q: %v", line, err)
		}
		eventually(t, ctx, "the folder is gone", func() bool {
			_, err := os.Stat(dir)
			return os.IsNotExist(err)
		})
		eventually(t, ctx, "the server is gone", func() bool { return !serverRuns(pid) })
	})
}

// serverRuns tells whether the process is there, other than as a zombie that
// nobody reaps.
func serverRuns(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

package canal_test

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/canal/sandbox"
)

func makeTLS(t *testing.T) *sandbox.TLSFiles {
	t.Helper()
	files, err := sandbox.MakeTLS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestTLS connects in each mode to a server with a certificate of our making.
func TestTLS(t *testing.T) {
	ours, theirs := makeTLS(t), makeTLS(t)
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		o.TLS = ours
		s := startSource(t, o)
		schema := s.schema(t)
		s.run(t, schema, createPair, "INSERT INTO pair VALUES (1, 1)")
		encrypted := s.as(t, s.options(t, schema, "pair.a.b"), "SELECT, LOCK TABLES, REPLICATION SLAVE, REPLICATION CLIENT ON *.*")
		s.run(t, "", "SET sql_log_bin = 0", "ALTER USER "+encrypted.User+" REQUIRE SSL")
		certified := s.as(t, s.options(t, schema, "pair.a.b"), "SELECT, LOCK TABLES, REPLICATION SLAVE, REPLICATION CLIENT ON *.*")
		s.run(t, "", "SET sql_log_bin = 0", "ALTER USER "+certified.User+" REQUIRE X509")
		anyone := s.options(t, schema, "pair.a.b")
		_, port, _ := cutLast(s.Address(), ":")
		another := forward(t, "127.0.0.2:0", s.Address())
		for _, c := range []struct {
			name    string
			account canal.Options
			tls     canal.TLS
			address string   // other than the server's
			words   []string // of the refusal, if any
		}{
			{"disabled", anyone, canal.TLS{Mode: canal.TLSDisabled}, "", nil},
			{"disabled, but required", encrypted, canal.TLS{Mode: canal.TLSDisabled}, "", []string{"refuses user"}},
			{"preferred", encrypted, canal.TLS{Mode: canal.TLSPreferred}, "", nil},
			{"required", encrypted, canal.TLS{Mode: canal.TLSRequired}, "", nil},
			{"verify-ca", encrypted, canal.TLS{Mode: canal.TLSVerifyCA, CA: ours.CA}, "", nil},
			{"verify-ca, another CA", encrypted, canal.TLS{Mode: canal.TLSVerifyCA, CA: theirs.CA}, "", []string{"certificate"}},
			{"verify-ca, no CA", encrypted, canal.TLS{Mode: canal.TLSVerifyCA}, "", []string{"certificate"}},
			{"verify-identity", encrypted, canal.TLS{Mode: canal.TLSVerifyIdentity, CA: ours.CA}, "", nil},
			{"verify-identity, localhost", encrypted, canal.TLS{Mode: canal.TLSVerifyIdentity, CA: ours.CA}, "localhost:" + port, nil},
			{"verify-identity, another name", encrypted, canal.TLS{Mode: canal.TLSVerifyIdentity, CA: ours.CA}, another, []string{"127.0.0.2", "x509"}},
			{"verify-identity, another CA", encrypted, canal.TLS{Mode: canal.TLSVerifyIdentity, CA: theirs.CA}, "", []string{"certificate"}},
			{"verify-identity, socket", anyone, canal.TLS{Mode: canal.TLSVerifyIdentity, CA: ours.CA}, s.Socket(), []string{"needs a host to verify"}},
			{"client certificate", certified, canal.TLS{Mode: canal.TLSVerifyCA, CA: ours.CA, Cert: ours.ClientCert, Key: ours.ClientKey}, "", nil},
			{"client certificate is missing", certified, canal.TLS{Mode: canal.TLSRequired}, "", []string{"refuses user"}},
			{"client certificate of another CA", certified, canal.TLS{Mode: canal.TLSRequired, Cert: theirs.ClientCert, Key: theirs.ClientKey}, "", []string{""}},
			{"no such file", anyone, canal.TLS{Mode: canal.TLSVerifyCA, CA: "/does/not/exist"}, "", []string{"source.tls.ca", "/does/not/exist"}},
			{"no PEM", anyone, canal.TLS{Mode: canal.TLSVerifyCA, CA: "/dev/null"}, "", []string{"source.tls.ca", "no certificate in PEM form"}},
			{"no key", anyone, canal.TLS{Mode: canal.TLSRequired, Cert: ours.ClientCert, Key: "/dev/null"}, "", []string{"source.tls.key"}},
			{"socket", anyone, canal.TLS{Mode: canal.TLSPreferred}, s.Socket(), nil},
		} {
			t.Run(c.name, func(t *testing.T) {
				o := c.account
				o.TLS, o.Logger = c.tls, s.options(t, schema).Logger
				o.ServerID, o.UUID = s.options(t, schema).ServerID, s.options(t, schema).UUID
				if c.address != "" {
					o.Address = c.address
				}
				k := s.start(t, o, newIndex(relationsOf(o)))
				if c.words != nil {
					wantError(t, k.refused(), c.words...)
					return
				}
				k.exact()
			})
		}
	})
}

// forward listens on an address and connects whoever comes to another one.
func forward(t *testing.T, listen, address string) string {
	t.Helper()
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", address)
			if err != nil {
				client.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
				open.Go(func() {
					io.Copy(way[0], way[1])
					client.Close()
					server.Close()
				})
			}
		}
	})
	t.Cleanup(func() {
		listener.Close()
		open.Wait()
	})
	return listener.Addr().String()
}

// TestWithoutTLS connects to a server that has none.
func TestWithoutTLS(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		switch {
		case o.Binary.Flavor == sandbox.MariaDB, o.Binary.Version < "8":
			o.Args = append(o.Args, "--skip-ssl")
		default:
			o.Args = append(o.Args, "--tls-version=")
		}
		s := startSource(t, o)
		schema := s.schema(t)
		s.run(t, schema, createPair, "INSERT INTO pair VALUES (1, 1)")
		options := s.options(t, schema, "pair.a.b")
		k := s.start(t, options, newIndex(relationsOf(options)))
		k.exact()
		for _, mode := range []canal.TLSMode{canal.TLSRequired, canal.TLSVerifyCA, canal.TLSVerifyIdentity} {
			options := s.options(t, schema, "pair.a.b")
			options.TLS.Mode = mode
			wantError(t, s.start(t, options, newIndex(relationsOf(options))).refused(), "TLS")
		}
	})
}

// TestPasswordPlugins logs in by each way that the server knows, with TLS and
// without.
func TestPasswordPlugins(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		plugins := map[string]string{} // by the words after IDENTIFIED
		switch {
		case o.Binary.Flavor == sandbox.MariaDB:
			plugins["mysql_native_password"] = "VIA mysql_native_password USING PASSWORD('p')"
			plugins["ed25519"] = "VIA ed25519 USING PASSWORD('p')"
		case o.Binary.Version < "8":
			plugins["mysql_native_password"] = "WITH mysql_native_password BY 'p'"
			plugins["sha256_password"] = "WITH sha256_password BY 'p'"
		default:
			plugins["caching_sha2_password"] = "WITH caching_sha2_password BY 'p'"
			plugins["sha256_password"] = "WITH sha256_password BY 'p'"
		}
		s := startSource(t, o)
		schema := s.schema(t)
		s.run(t, schema, createPair, "INSERT INTO pair VALUES (1, 1)")
		for plugin, identified := range plugins {
			if plugin == "ed25519" {
				if _, err := s.DB().ExecContext(testContext(t), "INSTALL SONAME 'auth_ed25519'"); err != nil {
					t.Logf("no plugin ed25519: %v", err)
					continue
				}
			}
			for _, mode := range []canal.TLSMode{canal.TLSDisabled, canal.TLSPreferred} {
				t.Run(plugin+"/"+string(mode), func(t *testing.T) {
					s.run(t, "", "SET sql_log_bin = 0", "CREATE USER plugged IDENTIFIED "+identified,
						"GRANT SELECT, LOCK TABLES, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO plugged")
					defer s.run(t, "", "SET sql_log_bin = 0", "DROP USER plugged")
					o := s.options(t, schema, "pair.a.b")
					o.User, o.Password = "plugged", func() (string, error) { return "p", nil }
					o.TLS.Mode = mode
					k := s.start(t, o, newIndex(relationsOf(o)))
					k.exact()
					k.halt()
				})
			}
		}
	})
}

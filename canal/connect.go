package canal

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-sql-driver/mysql"
)

const (
	connectTimeout = 10 * time.Second
	// queryTimeout bounds the wait for the next bytes of an answer, not the
	// whole answer: a snapshot may take hours.
	queryTimeout = 60 * time.Second
)

// network returns the network and address to dial.
func (o *Options) network() (network, address string) {
	if o.socket() {
		return "unix", o.Address
	}
	return "tcp", o.Address
}

// socket says whether the address is the path of a unix socket.
func (o *Options) socket() bool {
	return strings.HasPrefix(o.Address, "/") || strings.HasPrefix(o.Address, ".")
}

// openDB returns a handle for queries. It does not connect yet.
func (o *Options) openDB() (*sql.DB, error) {
	network, address := o.network()
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User = network, address, o.User
	c.Timeout, c.ReadTimeout, c.WriteTimeout = connectTimeout, queryTimeout, queryTimeout
	c.InterpolateParams = true
	c.ConnectionAttributes = "program_name:kith"
	c.Params = map[string]string{
		// The server's defaults may be others. What is read must be all of it, and
		// definitions must be whole, with quotes around their names.
		"sql_mode":              "''",
		"sql_select_limit":      "18446744073709551615",
		"sql_big_selects":       "1",
		"sql_quote_show_create": "1",
		"time_zone":             "'+00:00'", // in which NOW never repeats an hour
		// What only some servers know stands in comments that only they read. They
		// end a SELECT that takes long, and hide a primary key that is in the binlog.
		"lock_wait_timeout": "60 /*!50708 , max_execution_time = 0 */ /*M! , max_statement_time = 0 */ " +
			"/*!80030 , show_gipk_in_create_table_and_information_schema = ON */",
	}
	c.Logger = silent{}
	tlsConfig, err := o.tlsConfig()
	if err != nil {
		return nil, err
	}
	c.TLS, c.AllowFallbackToPlaintext = tlsConfig, o.TLS.Mode == TLSPreferred
	err = c.Apply(mysql.BeforeConnect(func(_ context.Context, c *mysql.Config) error {
		password, err := o.Password()
		c.Passwd = password
		return err
	}))
	if err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxIdleConns(0)
	return db, nil
}

// silent drops what the driver would log: every failure also comes back as an
// error.
type silent struct{}

func (silent) Print(...any) {}

// connectDump opens a connection for the replication protocol. useTLS tells
// whether the source offers TLS, for TLSPreferred.
func (o *Options) connectDump(ctx context.Context, useTLS bool) (*client.Conn, error) {
	password, err := o.Password()
	if err != nil {
		return nil, err
	}
	tlsConfig, err := o.tlsConfig()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	network, address := o.network()
	conn, err := client.ConnectWithDialer(ctx, network, address, o.User, password, "", dialBounded,
		func(c *client.Conn) error {
			if tlsConfig != nil && (useTLS || o.TLS.Mode != TLSPreferred) {
				c.SetTLSConfig(tlsConfig)
			}
			c.SetAttributes(map[string]string{"program_name": "kith"})
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", o.Address, err)
	}
	return conn, nil
}

// dialBounded opens a connection with the deadline of ctx: a source that accepts
// it and then says nothing must not hold the login for ever.
func dialBounded(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{KeepAlive: 15 * time.Second}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// tlsConfig returns nil when TLS is disabled. The files are read at every
// connect, so that certificates can be renewed.
func (o *Options) tlsConfig() (*tls.Config, error) {
	if o.TLS.Mode == TLSDisabled || (o.TLS.Mode == TLSPreferred && o.socket()) {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.TLS.Cert != "" {
		pair, err := tls.LoadX509KeyPair(o.TLS.Cert, o.TLS.Key)
		if err != nil {
			return nil, fmt.Errorf("read source.tls.cert and source.tls.key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if o.TLS.CA != "" {
		pem, err := os.ReadFile(o.TLS.CA)
		if err != nil {
			return nil, fmt.Errorf("read source.tls.ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("source.tls.ca: %s holds no certificate in PEM form", o.TLS.CA)
		}
	}
	switch o.TLS.Mode {
	case TLSVerifyIdentity:
		host, _, err := net.SplitHostPort(o.Address)
		if err != nil {
			return nil, fmt.Errorf("source.tls.mode verify-identity needs a host to verify: %w", err)
		}
		c.ServerName = host
	case TLSVerifyCA:
		// MySQL's own certificates name no host, which Go's check would refuse,
		// so the chain is verified here, without a name.
		c.InsecureSkipVerify = true
		c.VerifyConnection = verifyChain(c.RootCAs)
	default:
		c.InsecureSkipVerify = true // as the mode says: any certificate
	}
	return c, nil
}

func verifyChain(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errors.New("the source showed no certificate")
		}
		intermediates := x509.NewCertPool()
		for _, c := range s.PeerCertificates[1:] {
			intermediates.AddCert(c)
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates})
		return err
	}
}

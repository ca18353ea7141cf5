package sandbox

import (
	"context"
	crand "crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Options say what server to run, and how.
type Options struct {
	// Binary is the program to run; the zero Binary stands for what Find("")
	// finds.
	Binary Binary

	// Dir is the folder for everything the server writes. It is made if it is
	// missing, must be empty, and is removed by Close. Empty means a new
	// temporary folder.
	Dir string

	// Schemas are those that the follower account may read. Nil means "social".
	Schemas []string

	// GTID turns MySQL's GTIDs on, or else off. MariaDB always has its own.
	GTID bool

	// Fast spares the disk: what is committed survives the end of the server
	// (Kill as well), but not the end of the machine.
	Fast bool

	// TLS is what the server proves itself with; see MakeTLS. Nil leaves it to
	// the server: MySQL, and MariaDB from 11.4, make their own certificates.
	TLS *TLSFiles

	// Args are further arguments of the server; they override ours, also those
	// that its datadir is made with.
	Args []string

	// Logger is told of starts and stops. Nil means nobody.
	Logger *slog.Logger
}

// startLimit bounds a start of a server whatever the caller's context says.
const startLimit = 2 * time.Minute

// followerUser is the name of the account for kith.
const followerUser = "kith"

// errPortTaken says that another program listens on the port that was chosen.
var errPortTaken = errors.New("port is taken")

// Server is a throwaway server. Start, Stop, Kill, Restart, Freeze, Thaw and
// Close are for one goroutine at a time; all else may be called at any time.
type Server struct {
	options  Options
	log      *slog.Logger
	dir      string
	socket   string
	port     int
	password string // of the follower account
	db       *sql.DB
	sweep    *sweeper
	process  *process
}

// Start runs a new server and returns when it answers. The context bounds the
// start only. Close the server to be rid of it.
func Start(ctx context.Context, o Options) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if o.Binary == (Binary{}) {
		binary, err := Find("")
		if err != nil {
			return nil, err
		}
		o.Binary = binary
	}
	s, err := newServer(o)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	if err := s.begin(ctx); err != nil {
		return nil, fmt.Errorf("sandbox: start %s: %w", o.Binary, errors.Join(err, s.Close()))
	}
	return s, nil
}

// newServer makes the folders of a server, watched over from the first moment.
func newServer(o Options) (*Server, error) {
	s := &Server{options: o, log: o.Logger, password: crand.Text()}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	dir, err := makeDir(o.Dir)
	if err != nil {
		return nil, err
	}
	s.dir = dir
	dirs := []string{dir}
	s.socket = filepath.Join(dir, "s")
	if len(s.socket) > maxSocketPath {
		short, err := os.MkdirTemp("/tmp", "kith-")
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
		dirs = append(dirs, short)
		s.socket = filepath.Join(short, "s")
	}
	s.sweep, err = newSweeper(dirs...)
	if err != nil {
		for _, dir := range dirs {
			err = errors.Join(err, os.RemoveAll(dir))
		}
		return nil, err
	}
	return s, nil
}

// makeDir returns an empty folder that only we may look into.
func makeDir(dir string) (string, error) {
	if dir == "" {
		return os.MkdirTemp("", "kith-")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	if len(entries) > 0 {
		return "", fmt.Errorf("folder %s is not empty, and would be removed at the end: name another", dir)
	}
	return filepath.Abs(dir)
}

// begin brings a new server up.
func (s *Server) begin(ctx context.Context) error {
	began := time.Now()
	source, err := template(ctx, s.options.Binary, datadirArgs(s.options.Args))
	if err != nil {
		return err
	}
	// Servers remove the temporary files of others at their start, where they
	// share a folder for them.
	if err := os.Mkdir(s.tmpdir(), 0o700); err != nil {
		return fmt.Errorf("folder for temporary files: %w", err)
	}
	if err := os.CopyFS(s.datadir(), os.DirFS(source)); err != nil {
		return fmt.Errorf("copy the template datadir: %w", err)
	}
	if err := s.openDB(); err != nil {
		return err
	}
	if err := s.runOnFreePort(ctx); err != nil {
		return err
	}
	if err := s.createFollower(ctx); err != nil {
		return err
	}
	s.log.Info("server started", "server", s.options.Binary.String(), "address", s.Address(), "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// runOnFreePort starts the server on a port that nobody listens on. Between
// the look and the server's own attempt another program may take the port:
// then it tries another one.
func (s *Server) runOnFreePort(ctx context.Context) error {
	const attempts = 10
	var err error
	for range attempts {
		if s.port, err = freePort(); err != nil {
			return err
		}
		if err = s.run(ctx); !errors.Is(err, errPortTaken) {
			return err
		}
	}
	return err
}

// freePort returns a port that nobody listens on. It lies below those that
// systems hand out for outgoing connections, so that none of these takes it
// while the server is restarted.
func freePort() (int, error) {
	const low, high, attempts = 10000, 32000, 100
	var err error
	for range attempts {
		port := low + rand.IntN(high-low)
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err != nil {
			continue
		}
		return port, l.Close()
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}

// openDB makes the administrator's pool. Its driver stays silent: cut
// connections are what this server is for.
func (s *Server) openDB() error {
	config, err := mysql.ParseDSN(s.DSN(""))
	if err != nil {
		return fmt.Errorf("administrator's connection: %w", err)
	}
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return fmt.Errorf("administrator's connection: %w", err)
	}
	s.db = sql.OpenDB(connector)
	return nil
}

// createFollower makes the follower account. It is kept out of the binlog, for
// a replica has an account of its own.
func (s *Server) createFollower(ctx context.Context) error {
	flavor, schemas := s.options.Binary.Flavor, s.options.Schemas
	if schemas == nil {
		schemas = []string{"social"}
	}
	statements := accountSQL(s.User(), s.Password())
	for _, schema := range schemas {
		statements = append(statements, schemaSQL(flavor, s.options.GTID, s.User(), schema)...)
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("create the follower account: %w", err)
	}
	defer conn.Close()
	statements = append([]string{"SET sql_log_bin = 0"}, statements...)
	statements = append(statements, "SET sql_log_bin = 1")
	for _, statement := range statements {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("create the follower account: %w", err)
		}
	}
	return nil
}

// Binary returns the program that runs.
func (s *Server) Binary() Binary { return s.options.Binary }

// Address returns where the server listens, as host:port. It stays the same
// over restarts.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Socket returns the path of the server's unix socket.
func (s *Server) Socket() string { return s.socket }

// User returns the name of the follower account, which has the rights of
// GrantSQL and comes by Address.
func (s *Server) User() string { return followerUser }

// Password returns the password of the follower account.
func (s *Server) Password() string { return s.password }

// DB returns a pool of connections of the administrator, who may do anything.
// It is closed by Close and survives restarts of the server.
func (s *Server) DB() *sql.DB { return s.db }

// DSN returns the administrator's data source name for go-sql-driver, with
// schema as the default; an empty schema is none.
func (s *Server) DSN(schema string) string {
	config := mysql.NewConfig()
	config.Net, config.Addr = "unix", s.socket
	config.User, config.DBName = "root", schema
	config.InterpolateParams = true
	return config.FormatDSN()
}

// LogFile returns the path of what the server says. (Its name has a suffix
// because servers add one otherwise.)
func (s *Server) LogFile() string { return filepath.Join(s.dir, "server.log") }

func (s *Server) tmpdir() string { return filepath.Join(s.dir, "tmp") }

func (s *Server) datadir() string { return filepath.Join(s.dir, "data") }

package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
)

// redoLogSize is small, so that a datadir is copied fast, and large enough
// that filling the demo's tables does not wait for it.
const redoLogSize = "33554432"

// maxSocketPath is how many bytes the path of a unix socket may have (macOS
// allows the fewest).
const maxSocketPath = 103

// userArgs let the server run as root where we are root: it refuses to unless
// told, and a throwaway server has nobody else to be.
func userArgs() []string {
	if os.Geteuid() == 0 {
		return []string{"--user=root"}
	}
	return nil
}

// args are the server's arguments. --loose- marks those that not every version
// knows.
func (s *Server) args() []string {
	args := append([]string{"--no-defaults"}, userArgs()...)
	args = append(args,
		"--datadir="+s.datadir(),
		"--tmpdir="+s.tmpdir(),
		"--socket="+s.socket,
		"--pid-file="+filepath.Join(s.dir, "pid"),
		"--log-error="+s.LogFile(),
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--port=%d", s.port),
		// Unique on this machine, as the port is.
		fmt.Sprintf("--server-id=%d", s.port),
		"--skip-name-resolve",
		"--loose-mysqlx=OFF",
		"--default-time-zone=+00:00",
		"--character-set-server=utf8mb4",

		"--log-bin=binlog",
		"--binlog-format=ROW",
		"--loose-log-slave-updates=ON",

		"--innodb-buffer-pool-size=128M",
		"--loose-innodb-redo-log-capacity="+redoLogSize,
		"--loose-innodb-log-file-size="+redoLogSize,
		"--loose-innodb-buffer-pool-dump-at-shutdown=OFF",
		"--loose-innodb-buffer-pool-load-at-startup=OFF",
		"--key-buffer-size=8M",
		"--loose-aria-pagecache-buffer-size=8M",
		"--loose-aria-log-file-size=8388608",
		"--performance-schema=OFF",
		"--max-allowed-packet=64M",
	)
	args = append(args, s.durabilityArgs()...)
	if s.options.Binary.Flavor == MySQL {
		mode := "OFF" // said as well: MySQL 9 has them on by default
		if s.options.GTID {
			mode = "ON"
		}
		args = append(args, "--gtid-mode="+mode, "--enforce-gtid-consistency="+mode)
	}
	if tls := s.options.TLS; tls != nil {
		args = append(args, "--ssl-ca="+tls.CA, "--ssl-cert="+tls.ServerCert, "--ssl-key="+tls.ServerKey)
	}
	return append(args, s.options.Args...)
}

// durabilityArgs: what is committed survives the end of the server in either
// case, for it is written to the operating system; only by default does it
// survive the end of the machine as well.
func (s *Server) durabilityArgs() []string {
	if s.options.Fast {
		return []string{"--sync-binlog=0", "--innodb-flush-log-at-trx-commit=2", "--innodb-doublewrite=OFF"}
	}
	return []string{"--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1"}
}

package config

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// check records what is wrong with settings of the right types.
func (l *ledger) check(c *Config) {
	l.checkSource(c.Source)
	l.checkRelations(c.Relations)
	l.checkCheckpoint(c.Checkpoint)
	l.checkHTTP(c.HTTP)
	l.checkDebug(c.Debug, c.HTTP)
	l.checkAudit(c.Audit)
	l.checkLog(c.Log)
	l.checkUnbuilt(c)
}

func (l *ledger) checkSource(s Source) {
	l.checkAddress(s.Address)
	l.require("source.user", s.User, "name the account that kith logs in with")
	if !s.Password.IsZero() && s.PasswordFile != "" {
		l.fault("source.password_file", "source.password is set too; keep one of them")
	}
	oneOf(l, "source.flavor", s.Flavor, FlavorAuto, FlavorMySQL, FlavorMariaDB)
	l.checkTLS(s)
}

func (l *ledger) checkAddress(address string) {
	const path = "source.address"
	switch {
	case !l.require(path, address, "write host:port or the path of a unix socket"):
	case Source{Address: address}.Network() == "unix":
	case strings.Contains(address, "@"):
		// A DSN: what stands in front of the @ may be a password.
		l.fault(path, "has an @; write host:port alone, and the login in source.user and source.password")
	case strings.Contains(address, "/") && !strings.Contains(address, "://"):
		l.fault(path, quote(address)+" is neither host:port nor a socket's path, which starts with / or .")
	default:
		l.checkHostPort(path, address, true)
	}
}

func (l *ledger) checkTLS(s Source) {
	t := s.TLS
	if !oneOf(l, "source.tls.mode", t.Mode, TLSDisabled, TLSPreferred, TLSRequired, TLSVerifyCA, TLSVerifyIdentity) {
		return
	}
	verifies := t.Mode == TLSVerifyCA || t.Mode == TLSVerifyIdentity
	if t.CA != "" && !verifies {
		l.fault("source.tls.ca", fmt.Sprintf("is not used by mode %s, which verifies nothing; set source.tls.mode to %s or %s",
			t.Mode, TLSVerifyCA, TLSVerifyIdentity))
	}
	if t.Mode == TLSDisabled && (t.Cert != "" || t.Key != "") {
		l.fault("source.tls.mode", "is disabled, but a client certificate is set; set another mode or remove cert and key")
	}
	if t.Mode == TLSVerifyIdentity && s.Network() == "unix" {
		l.fault("source.tls.mode", "is verify-identity, but source.address is a unix socket, which has no host name; use verify-ca")
	}
	l.checkPair("source.tls.cert", t.Cert, "source.tls.key", t.Key)
}

// checkPair wants a certificate and its key together or not at all.
func (l *ledger) checkPair(certPath, cert, keyPath, key string) {
	if cert != "" && key == "" {
		l.fault(keyPath, "is missing; "+certPath+" needs its private key")
	}
	if key != "" && cert == "" {
		l.fault(certPath, "is missing; "+keyPath+" needs its certificate")
	}
}

func (l *ledger) checkCheckpoint(c Checkpoint) {
	l.require("checkpoint.dir", c.Dir, "name the directory that kith may write to")
	if c.Interval < time.Second {
		l.fault("checkpoint.interval", c.Interval.String()+" is too short; at least 1s")
	}
}

func (l *ledger) checkHTTP(h HTTP) {
	const mostValues = 10_000_000
	l.checkListen("http.listen", h.Listen)
	if h.MaxLimit < 1 || h.MaxLimit > mostValues {
		l.fault("http.max_limit", fmt.Sprintf("%d is out of range; from 1 to %d", h.MaxLimit, mostValues))
	}
	l.checkPair("http.tls_cert", h.TLSCert, "http.tls_key", h.TLSKey)
}

func (l *ledger) checkDebug(d Debug, h HTTP) {
	if d.Listen == "" {
		return
	}
	_, port, _ := net.SplitHostPort(d.Listen)
	if d.Listen == h.Listen && port != "0" {
		l.fault("debug.listen", quote(d.Listen)+" is http.listen too; choose another port")
		return
	}
	l.checkListen("debug.listen", d.Listen)
}

func (l *ledger) checkAudit(a Audit) {
	if a.Interval != 0 && a.Interval < time.Second {
		l.fault("audit.interval", a.Interval.String()+" is too short; at least 1s, or 0 for no audits")
	}
	if a.Rate < 0 {
		l.fault("audit.rate", strconv.Itoa(a.Rate)+" is less than nothing; write rows per second, or 0 for no audits")
	}
}

func (l *ledger) checkLog(c Log) {
	oneOf(l, "log.level", c.Level, LogDebug, LogInfo, LogWarn, LogError)
	oneOf(l, "log.format", c.Format, LogText, LogJSON)
}

// checkUnbuilt refuses the features that this version does not have, so that
// nobody relies on what would be ignored.
func (l *ledger) checkUnbuilt(c *Config) {
	l.unbuilt("http.tokens_file", c.HTTP.TokensFile != "", "does not check tokens")
	l.unbuilt("redis.listen", c.Redis.Listen != "", "does not speak the Redis protocol")
}

func (l *ledger) unbuilt(path string, set bool, lacks string) {
	if set {
		l.fault(path, "is set, but this version of kith "+lacks+" yet; remove it")
	}
}

var relationName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

func (l *ledger) checkRelations(relations []Relation) {
	if len(relations) == 0 {
		l.require("relations", "", "list at least one, with name, table, key and value")
		return
	}
	first := make(map[string]int, len(relations))
	for i, r := range relations {
		path := fmt.Sprintf("relations[%d]", i)
		l.checkRelation(path, r)
		if r.Name == "" {
			continue
		}
		if j, twice := first[r.Name]; twice {
			l.fault(path+".name", fmt.Sprintf("%s is the name of relations[%d] too; names are unique", quote(r.Name), j))
			continue
		}
		first[r.Name] = i
	}
}

func (l *ledger) checkRelation(path string, r Relation) {
	if l.require(path+".name", r.Name, "name the relation; the name is part of its URL") && !relationName.MatchString(r.Name) {
		l.fault(path+".name", quote(r.Name)+" is not a name; a lower-case letter, then up to 62 of a-z, 0-9, _ and -")
	}
	l.checkTable(path+".table", r.Table)
	l.checkColumn(path+".key", r.Key)
	l.checkColumn(path+".value", r.Value)
	// MySQL and MariaDB do not tell upper from lower case in names of columns.
	if r.Key != "" && strings.EqualFold(r.Key, r.Value) {
		l.fault(path+".value", quote(r.Value)+" is the key column too; name the column that holds the values")
	}
}

func (l *ledger) checkFilters(relations []Relation, check func(where string) error) {
	for i, r := range relations {
		if r.Where == "" {
			continue
		}
		if err := check(r.Where); err != nil {
			l.fault(fmt.Sprintf("relations[%d].where", i), strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
}

func (l *ledger) checkTable(path, name string) {
	const form = "write schema.table"
	if !l.require(path, name, form) {
		return
	}
	schema, table, dotted := strings.Cut(name, ".")
	switch {
	case strings.Contains(name, "`"):
		l.fault(path, quote(name)+" has backticks; write the names without")
	case !dotted || schema == "" || table == "":
		l.fault(path, quote(name)+" does not name schema and table; "+form)
	case strings.Contains(table, "."):
		l.fault(path, quote(name)+" has more than one dot; "+form+", in names without dots")
	case !fitsName(schema) || !fitsName(table):
		l.fault(path, quote(name)+" cannot be a table: "+nameRule)
	case systemSchema(schema):
		l.fault(path, quote(name)+" is written by the server itself and not in its binlog; name a table of yours")
	}
}

func (l *ledger) checkColumn(path, name string) {
	switch {
	case !l.require(path, name, "name the column"):
	case strings.Contains(name, "`"):
		l.fault(path, quote(name)+" has backticks; write the name without")
	case !fitsName(name):
		l.fault(path, quote(name)+" cannot be a column: "+nameRule)
	}
}

// nameRule is what the servers ask of any quoted name.
const nameRule = "a name has at most 64 characters and no space at its end"

func fitsName(name string) bool {
	return utf8.RuneCountInString(name) <= 64 && !strings.HasSuffix(name, " ")
}

// systemSchema reports whether a schema's tables change without a row in the
// binlog: that of mysql is written by GRANT and the like, and by the server itself.
func systemSchema(schema string) bool {
	return slices.Contains([]string{"information_schema", "performance_schema", "mysql", "sys"}, strings.ToLower(schema))
}

// require wants text at path and reports whether it is there.
func (l *ledger) require(path, value, cure string) bool {
	switch {
	case value != "":
		return true
	case l.isSet(path):
		l.fault(path, "is empty; "+cure)
	default:
		l.fault(path, "is missing; "+cure)
	}
	return false
}

// oneOf wants one of the choices at path and reports whether it is there.
func oneOf[T ~string](l *ledger, path string, value T, choices ...T) bool {
	if slices.Contains(choices, value) {
		return true
	}
	list := make([]string, len(choices))
	for i, choice := range choices {
		list[i] = string(choice)
	}
	l.fault(path, quote(string(value))+" is none of "+strings.Join(list, ", "))
	return false
}

func (l *ledger) checkListen(path, address string) {
	if l.require(path, address, "write host:port") {
		l.checkHostPort(path, address, false)
	}
}

// checkHostPort wants host:port. To dial, it wants a host, and a port that is
// not 0; to listen, no host means all of the machine's addresses and port 0
// any free one.
func (l *ledger) checkHostPort(path, address string, dial bool) {
	if strings.Contains(address, "://") {
		l.fault(path, quote(address)+" has a scheme; write host:port alone")
		return
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil && strings.Count(address, ":") > 1 {
		l.fault(path, quote(address)+" is not host:port; an IPv6 address stands in brackets, as in [::1]:8080")
		return
	}
	if err != nil {
		l.fault(path, quote(address)+" has no port; write host:port")
		return
	}
	if strings.ContainsAny(host, " \t\r\n/") || (dial && host == "") {
		l.fault(path, quote(address)+" has no valid host; write host:port")
		return
	}
	lowest := uint64(0)
	if dial {
		lowest = 1
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n < lowest {
		l.fault(path, fmt.Sprintf("%s has no valid port; a number from %d to 65535", quote(address), lowest))
	}
}

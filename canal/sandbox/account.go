package sandbox

import "strings"

// GrantSQL returns the statements that make the account which kith follows a
// source with, and give it what kith needs there and nothing else:
//
//   - REPLICATION SLAVE, to be sent the binlog;
//   - REPLICATION CLIENT, to ask where the binlog ends (MariaDB calls it BINLOG
//     MONITOR since 10.5 and takes both names);
//   - SELECT on the schema that holds the followed tables;
//   - on MySQL LOCK TABLES on it, for the instant in which a source without
//     GTIDs tells its position. With gtid_mode=ON the last statement can go.
//
// For a second schema, run what follows the first two statements again.
func GrantSQL(flavor Flavor, user, password, schema string) []string {
	return append(accountSQL(user, password), schemaSQL(flavor, false, user, schema)...)
}

// accountSQL makes the account and gives it the rights that belong to no
// schema.
func accountSQL(user, password string) []string {
	account := quoteAccount(user)
	return []string{
		"CREATE USER " + account + " IDENTIFIED BY " + quoteString(password),
		"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO " + account,
	}
}

// schemaSQL gives the account its rights on one schema.
func schemaSQL(flavor Flavor, gtid bool, user, schema string) []string {
	on := " ON " + quotePattern(schema) + ".* TO " + quoteAccount(user)
	statements := []string{"GRANT SELECT" + on}
	if flavor == MySQL && !gtid {
		statements = append(statements, "GRANT LOCK TABLES"+on)
	}
	return statements
}

// quoteAccount returns the account of a user who may come from anywhere.
func quoteAccount(user string) string { return quoteString(user) + "@'%'" }

// quoteString returns s as a string literal of SQL.
func quoteString(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + "'"
}

// quotePattern returns a schema's name as GRANT takes it: a LIKE pattern in
// backquotes.
func quotePattern(schema string) string {
	return "`" + strings.NewReplacer("`", "``", `\`, `\\`, "_", `\_`, "%", `\%`).Replace(schema) + "`"
}

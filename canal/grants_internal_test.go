package canal

import "testing"

func TestParseGrant(t *testing.T) {
	for _, test := range []struct {
		line string
		want grant
		ok   bool
	}{
		{"GRANT SELECT ON *.* TO `kith`@`%`", grant{selects: true}, true},
		{"GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION", grant{selects: true}, true},
		{"GRANT USAGE ON *.* TO `kith`@`%` IDENTIFIED BY PASSWORD '*0'", grant{}, false},
		{"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'kith'@'%'", grant{}, false},
		{"GRANT INSERT, SELECT, LOCK TABLES ON `social\\_%`.* TO 'kith'@'%'", grant{like: `social\_%`, selects: true}, true},
		{"GRANT INSERT ON `social\\_1`.* TO 'kith'@'%'", grant{like: `social\_1`}, true},
		{"GRANT SELECT ON `a``b`.* TO 'kith'@'%'", grant{like: "a`b", selects: true}, true},
		{"GRANT SELECT ON `social`.`follows` TO 'kith'@'%'", grant{like: "social", selects: true}, false},
		{"GRANT SELECT (a, b) ON `social`.`follows` TO 'kith'@'%'", grant{like: "social"}, false},
		{"GRANT `reader`@`%` TO `kith`@`%`", grant{}, false},
		{"REVOKE SELECT ON `social_2`.* FROM `kith`@`%`", grant{like: "social_2", revoked: true}, true},
		{"REVOKE INSERT ON `social_2`.* FROM `kith`@`%`", grant{}, false},
	} {
		got, ok := parseGrant(test.line)
		if ok != test.ok || ok && got != test.want {
			t.Errorf("%s: %+v, %t, want %+v, %t", test.line, got, ok, test.want, test.ok)
		}
	}
}

func TestMissingGrant(t *testing.T) {
	all, one := grant{selects: true}, func(like string) grant { return grant{like: like, selects: true} }
	for _, test := range []struct {
		name    string
		glob    string
		grants  []grant
		granted bool
		lacks   string
	}{
		{"none", "social", nil, false, ""},
		{"all", "social_*", []grant{all}, true, ""},
		{"the schema", "social", []grant{one("social")}, true, ""},
		{"another schema", "social", []grant{one("social2")}, false, ""},
		{"by a pattern", "social_1", []grant{one(`social\_%`)}, true, ""},
		{"a wildcard that was not meant", "social_1", []grant{one("social_1")}, true, ""},
		{"the pattern", "social_*", []grant{one(`social\_%`)}, true, ""},
		{"a wider pattern", "social_*", []grant{one("soc%")}, true, ""},
		{"one character", "social_?", []grant{one(`social\__`)}, true, ""},
		{"one of many", "social_*", []grant{one(`social\_1`)}, false, ""},
		{"one character of many", "social_*", []grant{one(`social\__`)}, false, ""},
		{"nearly", "social_*", []grant{one(`social\_a%`)}, false, ""},
		{"in the middle", "s*l_?", []grant{one(`s%l\__`)}, true, ""},
		{"shadowed", "social_*", []grant{one(`social\_%`), {like: `social\_2`}}, false, `social\_2`},
		{"shadowed by a pattern", "social_*", []grant{one("s%"), {like: "%_2"}, {like: `so%\_9`}}, false, `so%\_9`},
		{"shadowed elsewhere", "social_*", []grant{one(`social\_%`), {like: "other"}, {like: "%"}}, true, ""},
		{"not shadowed by all", "social_*", []grant{all, {like: `social\_2`}}, true, ""},
		{"not shadowed by all, however long its name", "shard*", []grant{all, {like: "shard12345"}}, true, ""},
		{"revoked", "social_*", []grant{all, {like: `social\_2`, revoked: true}}, false, `social\_2`},
		{"revoked elsewhere", "social_*", []grant{all, {like: `mysql`, revoked: true}}, true, ""},
	} {
		if lacks, granted := missingGrant(test.grants, test.glob); granted != test.granted || lacks != test.lacks {
			t.Errorf("%s: %q, %t, want %q, %t", test.name, lacks, granted, test.lacks, test.granted)
		}
	}
}

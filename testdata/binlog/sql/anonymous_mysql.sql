-- Transactions without GTID (gtid_mode OFF_PERMISSIVE).
CREATE TABLE t (a BIGINT UNSIGNED NOT NULL, b BIGINT NOT NULL, PRIMARY KEY (a, b));
INSERT INTO t VALUES (5, -5);
SET SESSION binlog_transaction_compression = ON;
INSERT INTO t VALUES (6, -6);

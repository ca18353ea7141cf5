-- Two-phase ALTER: the statement stands twice, told apart by the flags of its GTID events only.
CREATE TABLE t (a BIGINT UNSIGNED NOT NULL, b BIGINT NOT NULL, PRIMARY KEY (a, b));
INSERT INTO t VALUES (1,-1),(2,-2);
SET SESSION binlog_alter_two_phase = 1;
ALTER TABLE t ADD COLUMN c INT, ALGORITHM=COPY;
ALTER TABLE t ADD UNIQUE KEY (c), DROP PRIMARY KEY, ADD PRIMARY KEY (b), ALGORITHM=COPY;
INSERT INTO t VALUES (2, -3, 9);

-- LOAD DATA as a statement; the file r/load.txt of the data directory has two lines of two numbers.
CREATE TABLE t (a BIGINT UNSIGNED NOT NULL, b BIGINT NOT NULL, PRIMARY KEY (a, b));
SET SESSION binlog_format = 'STATEMENT';
LOAD DATA INFILE 'load.txt' INTO TABLE t;

-- What a server sends, not what its files hold: recorded from the network.
CREATE DATABASE r;
CREATE TABLE r.t (a BIGINT UNSIGNED NOT NULL, b BIGINT NOT NULL, PRIMARY KEY (a, b));
INSERT INTO r.t VALUES (1, -1);
SET GLOBAL binlog_checksum = NONE;
INSERT INTO r.t VALUES (2, -2);
SET GLOBAL binlog_checksum = CRC32;
INSERT INTO r.t VALUES (3, -3);

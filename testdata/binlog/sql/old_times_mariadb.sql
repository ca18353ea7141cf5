-- The time formats of MariaDB before 10.1, whose fractions the binlog does not tell.
SET GLOBAL mysql56_temporal_format = OFF;
CREATE TABLE plain (a BIGINT UNSIGNED NOT NULL, t0 TIME, dt DATETIME, ts TIMESTAMP NULL, b INT);
INSERT INTO plain VALUES (1,'-12:34:56','2026-01-02 03:04:05','2026-01-02 03:04:05',-1),(2,NULL,NULL,NULL,-2);
CREATE TABLE fractions (a BIGINT UNSIGNED NOT NULL, t3 TIME(3), dt6 DATETIME(6), ts1 TIMESTAMP(1) NULL, b INT);
INSERT INTO fractions VALUES (1,'-12:34:56.789','2026-01-02 03:04:05.678901','2026-01-02 03:04:05.6',-1);
SET GLOBAL mysql56_temporal_format = ON;

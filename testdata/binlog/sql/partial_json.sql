-- PARTIAL_UPDATE_ROWS: JSON columns before, between and after the integers.
CREATE TABLE doc (j1 JSON, a BIGINT UNSIGNED NOT NULL, j2 JSON, v VARCHAR(300), j3 JSON, b INT, PRIMARY KEY (a));
INSERT INTO doc VALUES ('{"k":"aaaaaaaaaaaaaaaaaaaa","n":1}',1,'[1,2,3]','x','{"m":"bbbbbbbbbbbbbbbbbbbbbbbbbb"}',-1),('{"k":"cccccccccccccccccccc"}',18446744073709551615,NULL,NULL,'{"m":"d"}',2147483647);
SET SESSION binlog_row_value_options = 'PARTIAL_JSON';
UPDATE doc SET j1 = JSON_SET(j1, '$.k', 'z'), b = b - 1;
UPDATE doc SET j3 = JSON_REPLACE(j3, '$.m', 'e'), j2 = '[9]' WHERE a = 1;
UPDATE doc SET j1 = NULL, j3 = JSON_SET(j3, '$.m', 'f');
UPDATE doc SET b = 77 WHERE a = 1;
SET SESSION binlog_row_image = 'MINIMAL';
UPDATE doc SET j3 = JSON_REMOVE(j3, '$.m'), b = b + 1;
UPDATE doc SET a = 5 WHERE a = 1;
SET SESSION binlog_row_image = 'NOBLOB';
UPDATE doc SET j3 = JSON_SET(j3, '$.q', 1), b = -5 WHERE a = 5;

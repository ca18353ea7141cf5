-- The schema and the data of the demonstration: 100,000 users and close to a
-- million follows, of which few users have most.

CREATE DATABASE social CHARACTER SET utf8mb4;
USE social;

CREATE TABLE users (
  id         BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  name       VARCHAR(40) NOT NULL,
  created_at DATETIME NOT NULL
);

CREATE TABLE follows (
  follower_id BIGINT UNSIGNED NOT NULL,
  followee_id BIGINT UNSIGNED NOT NULL,
  created_at  DATETIME NOT NULL,
  PRIMARY KEY (follower_id, followee_id),
  KEY followee (followee_id)
);

CREATE TABLE friendships (
  user_a BIGINT UNSIGNED NOT NULL,
  user_b BIGINT UNSIGNED NOT NULL,
  since  DATE NOT NULL,
  PRIMARY KEY (user_a, user_b),
  KEY user_b (user_b)
);

-- The numbers 1 to 10,000, to multiply rows with.
CREATE TABLE numbers (n INT UNSIGNED NOT NULL PRIMARY KEY);
SET SESSION cte_max_recursion_depth = 10000;
INSERT INTO numbers
  WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 10000)
  SELECT n FROM up;

DELIMITER //

-- fill adds the users and the edges between them, 10,000 rows a transaction.
-- The cube of a random number is small most of the time: low ids are followed
-- most.
CREATE PROCEDURE fill()
BEGIN
  DECLARE i INT DEFAULT 0;
  WHILE i < 10 DO
    INSERT INTO users SELECT n + 10000 * i, CONCAT('user ', n + 10000 * i), NOW() FROM numbers;
    SET i = i + 1;
  END WHILE;
  SET i = 0;
  WHILE i < 100 DO
    INSERT IGNORE INTO follows
      SELECT 1 + FLOOR(100000 * RAND()), 1 + FLOOR(100000 * POW(RAND(), 3)), NOW() FROM numbers;
    SET i = i + 1;
  END WHILE;
  SET i = 0;
  WHILE i < 10 DO
    INSERT IGNORE INTO friendships
      SELECT LEAST(a, b), GREATEST(a, b), CURRENT_DATE
      FROM (SELECT 1 + FLOOR(100000 * RAND()) AS a, 1 + FLOOR(100000 * RAND()) AS b FROM numbers) AS pairs
      WHERE a <> b;
    SET i = i + 1;
  END WHILE;
END//

-- live is run each second, so that there is something to see: some users
-- follow, some no longer do, one moves to somebody else.
CREATE PROCEDURE live()
BEGIN
  INSERT IGNORE INTO follows
    SELECT 1 + FLOOR(100000 * RAND()), 1 + FLOOR(100000 * POW(RAND(), 3)), NOW() FROM numbers WHERE n <= 100;
  SET @from = 1 + FLOOR(100000 * RAND());
  DELETE FROM follows WHERE follower_id BETWEEN @from AND @from + 4;
  SET @from = 1 + FLOOR(100000 * RAND());
  UPDATE IGNORE follows SET followee_id = 1 + FLOOR(100000 * POW(RAND(), 3))
    WHERE follower_id >= @from ORDER BY follower_id, followee_id LIMIT 1;
END//

DELIMITER ;

CALL fill();

-- A replica has the event too, but never runs it.
CREATE EVENT live ON SCHEDULE EVERY 1 SECOND DO CALL live();

# Sourced by the image's entry point, which has docker_process_sql.
# Passwords here must not have quotes or backslashes.
#
# The account of kith is made last: where it can log in, all of the above has
# been replicated.
docker_process_sql <<SQL
CREATE USER 'replica'@'%' IDENTIFIED BY '$(cat /run/secrets/replica_password)';
GRANT REPLICATION SLAVE ON *.* TO 'replica'@'%';

CREATE USER 'kith'@'%' IDENTIFIED BY '$(cat /run/secrets/kith_password)';
GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'kith'@'%';
GRANT SELECT ON \`social\`.* TO 'kith'@'%';
SQL

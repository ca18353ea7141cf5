# Sourced by the image's entry point, which has docker_process_sql. The server
# starts to replicate by itself when it is started anew after this.
#
# A replica must have no transactions of its own: what making its data
# directory has logged is forgotten first.
docker_process_sql <<SQL
RESET BINARY LOGS AND GTIDS;
CHANGE REPLICATION SOURCE TO
  SOURCE_HOST = 'primary', SOURCE_USER = 'replica', SOURCE_PASSWORD = '$(cat /run/secrets/replica_password)',
  SOURCE_AUTO_POSITION = 1, SOURCE_SSL = 1, SOURCE_CONNECT_RETRY = 2, SOURCE_RETRY_COUNT = 1000000;
SET PERSIST_ONLY super_read_only = ON;
SQL

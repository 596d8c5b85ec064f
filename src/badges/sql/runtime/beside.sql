CREATE OR REPLACE FUNCTION {function}()
RETURNS text[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Returns the other transactions of this database that are open, by their ids and virtual ids.
-- A transaction that has written nothing has a virtual id only, and a prepared one no virtual id any longer.
{origin}
BEGIN
    RETURN ARRAY(
        SELECT coalesce(l.virtualxid, l.transactionid::text)
        FROM pg_locks AS l
        LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
        WHERE l.locktype IN ('virtualxid', 'transactionid') AND l.granted AND l.mode = 'ExclusiveLock'
          AND l.pid IS DISTINCT FROM pg_backend_pid()
          AND CASE WHEN l.pid IS NULL THEN
                  EXISTS (
                      SELECT FROM pg_prepared_xacts AS x
                      WHERE x.transaction = l.transactionid AND x.database = current_database())
              ELSE a.datname = current_database() AND a.backend_type <> 'autovacuum worker' END);
END
$badges$

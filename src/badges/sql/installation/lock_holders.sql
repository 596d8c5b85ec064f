-- The transactions other than this one that hold certain locks, the oldest first: an identifier, and the process in words.
-- A prepared transaction has no process.
SELECT l.virtualtransaction,
       min(format('process %s (%s, %s, transaction open for %s)', l.pid,
                  coalesce(nullif(a.application_name, ''), a.usename, 'unknown'),
                  coalesce(a.state, 'prepared transaction'),
                  date_trunc('second', clock_timestamp() - a.xact_start)))
FROM pg_catalog.pg_locks l
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.granted
  AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())
  AND {locks}
GROUP BY l.virtualtransaction
ORDER BY min(a.xact_start) NULLS FIRST

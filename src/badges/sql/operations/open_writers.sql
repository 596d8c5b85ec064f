-- The transactions other than this one that have written to these tables or their partitions and have not ended.
SELECT l.virtualtransaction,
       min(format('process %s (%s, %s, transaction open for %s)', l.pid,
                  coalesce(nullif(a.application_name, ''), a.usename, 'unknown'), coalesce(a.state, 'prepared transaction'),
                  date_trunc('second', clock_timestamp() - a.xact_start)))
FROM pg_catalog.pg_locks l
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation'
  AND l.mode = 'RowExclusiveLock'
  AND l.granted
  AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())
  AND l.relation IN (
      SELECT coalesce(part.relid, wanted.oid::regclass)
      FROM unnest({tables}::bigint[]) AS wanted (oid)
      LEFT JOIN LATERAL pg_catalog.pg_partition_tree(wanted.oid::regclass) AS part ON true
  )
GROUP BY l.virtualtransaction

-- The transactions other than this one that hold the advisory locks on these buckets of users.
SELECT DISTINCT format('process %s (%s, %s, transaction open for %s)', l.pid,
                       coalesce(nullif(a.application_name, ''), a.usename, 'unknown'), coalesce(a.state, 'prepared transaction'),
                       date_trunc('second', clock_timestamp() - a.xact_start))
FROM pg_catalog.pg_locks l
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
  AND l.classid = {class}::bigint::oid AND l.objid::bigint = ANY ({buckets}::bigint[])
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())
  AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()

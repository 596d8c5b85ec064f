-- The failures on record, together for each badge in force and kind of failure.
SELECT f.code,
       f.sqlstate,
       (array_agg(f.message ORDER BY f.last_at DESC))[1],
       sum(f.occurrences)::bigint,
       min(f.first_at),
       max(f.last_at)
FROM {failures} AS f
JOIN {definitions} AS d ON d.code = f.code AND d.retired_at IS NULL
WHERE f.tenant = {tenant}
GROUP BY f.code, f.sqlstate
ORDER BY f.code, f.sqlstate

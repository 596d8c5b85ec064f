-- The user with the most rows in a table: by PostgreSQL's statistics, or else among its first rows.
SELECT coalesce(
    (SELECT (s.most_common_vals::text::text[])[1]
     FROM pg_catalog.pg_stats s
     WHERE s.schemaname = {schema} AND s.tablename = {name} AND s.attname = {user_name}
     ORDER BY s.inherited DESC LIMIT 1),
    (SELECT seen.key
     FROM (SELECT {user}::text AS key FROM {table} WHERE {user} IS NOT NULL LIMIT 10000) AS seen
     GROUP BY seen.key ORDER BY count(*) DESC, seen.key LIMIT 1)
)

-- How many users hold each of these badges now, and how many users there are: an estimate where counting them would take long.
-- Who holds a badge for several things counts with the first, so that nothing has to be sorted, as a distinct count would.
SELECT asked.code, coalesce(held.holders, 0), users.number
FROM unnest({codes}::text[]) AS asked (code)
CROSS JOIN (
    SELECT CASE WHEN c.reltuples < 100000 THEN (SELECT count(*) FROM {users}) ELSE c.reltuples::bigint END AS number
    FROM pg_catalog.pg_class AS c
    WHERE c.oid = {users_name}::regclass
) AS users
LEFT JOIN (
    SELECT b.code, count(*) AS holders
    FROM {badges} AS b
    WHERE b.code = ANY ({codes}::text[]) AND (b.expires_at IS NULL OR b.expires_at > statement_timestamp())
      AND (b.thing = '' OR NOT EXISTS (
          SELECT FROM {badges} AS other
          WHERE other.user_id = b.user_id AND other.code COLLATE "C" = b.code AND other.thing < b.thing
            AND (other.expires_at IS NULL OR other.expires_at > statement_timestamp())
      ))
    GROUP BY b.code
) AS held ON held.code = asked.code

-- The newest awards of these badges that are still held, each once. Of each badge, they are read from the end of
-- the index on code and time.
SELECT newest.id
FROM unnest({codes}::text[]) AS asked (code)
CROSS JOIN LATERAL (
    SELECT b.id, e.at
    FROM {events} AS e
    JOIN {badges} AS b ON b.user_id = e.user_id AND b.code COLLATE "C" = e.code AND b.thing = e.thing
    WHERE e.code = asked.code AND e.kind = 'awarded' AND e.at >= {since}
      AND (b.expires_at IS NULL OR b.expires_at > statement_timestamp())
      AND NOT EXISTS (
          SELECT FROM {events} AS later
          WHERE later.user_id = e.user_id AND later.at > e.at AND later.code = e.code AND later.thing = e.thing
      )
    ORDER BY e.at DESC
    LIMIT {limit}
) AS newest
ORDER BY newest.at DESC
LIMIT {limit}

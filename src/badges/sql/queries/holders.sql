-- For each of these badges: the users who hold it, the badges that they hold, and its last award, even if that has
-- expired; and the number of all users, or 0 if it is not asked for. A user who holds a badge for several subjects
-- counts with the smallest one: a distinct count would sort all rows.
SELECT asked.code, coalesce(held.holders, 0), coalesce(held.badges, 0), held.last_award,
       CASE WHEN {with_users} THEN (SELECT count(*) FROM {users}) ELSE 0 END
FROM unnest({codes}::text[]) AS asked (code)
LEFT JOIN (
    SELECT b.code,
           count(*) FILTER (
               WHERE (b.expires_at IS NULL OR b.expires_at > statement_timestamp())
                 AND (b.thing = '' OR NOT EXISTS (
                     SELECT FROM {badges} AS other
                     WHERE other.user_id = b.user_id AND other.code COLLATE "C" = b.code AND other.thing < b.thing
                       AND (other.expires_at IS NULL OR other.expires_at > statement_timestamp())
                 ))
           ) AS holders,
           count(*) FILTER (WHERE b.expires_at IS NULL OR b.expires_at > statement_timestamp()) AS badges,
           max(b.awarded_at) AS last_award
    FROM {badges} AS b
    WHERE b.code = ANY ({codes}::text[])
    GROUP BY b.code
) AS held ON held.code = asked.code

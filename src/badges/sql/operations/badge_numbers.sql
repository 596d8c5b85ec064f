-- What has become of each badge: who holds it, when it was last awarded, what failed, what is pending; and all users.
-- Users are told apart only where a badge is for things: a user holds any other once.
SELECT d.code, coalesce(CASE WHEN held.has_things THEN apart.holders ELSE held.badges END, 0), coalesce(held.badges, 0),
       held.last_award, coalesce(failed.occurrences, 0), coalesce(pending.checks, 0), users.number
FROM {definitions} AS d
CROSS JOIN (SELECT count(*) AS number FROM {users}) AS users
LEFT JOIN (
    SELECT b.code,
           count(*) FILTER (WHERE b.expires_at IS NULL OR b.expires_at > statement_timestamp()) AS badges,
           max(b.awarded_at) AS last_award,
           bool_or(b.thing <> '') AS has_things
    FROM {badges} AS b GROUP BY b.code
) AS held ON held.code = d.code
LEFT JOIN LATERAL (
    SELECT count(DISTINCT b.user_id) AS holders FROM {badges} AS b
    WHERE held.has_things AND b.code = d.code AND (b.expires_at IS NULL OR b.expires_at > statement_timestamp())
) AS apart ON true
LEFT JOIN (
    SELECT f.code, sum(f.occurrences)::bigint AS occurrences FROM {failures} AS f GROUP BY f.code
) AS failed ON failed.code = d.code
LEFT JOIN (
    SELECT p.code, count(*) AS checks FROM {pending} AS p GROUP BY p.code
) AS pending ON pending.code = d.code

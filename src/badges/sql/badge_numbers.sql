-- What has become of each badge: who holds it, when it was last awarded, what failed, what is pending; and all users.
SELECT d.code, coalesce(held.holders, 0), coalesce(held.badges, 0), held.last_award, coalesce(failed.occurrences, 0), coalesce(pending.checks, 0), users.number
FROM {definitions} AS d
CROSS JOIN (SELECT count(*) AS number FROM {users}) AS users
LEFT JOIN (
    SELECT b.code,
           count(DISTINCT b.user_id) FILTER (WHERE b.expires_at > statement_timestamp() OR b.expires_at IS NULL) AS holders,
           count(*) FILTER (WHERE b.expires_at > statement_timestamp() OR b.expires_at IS NULL) AS badges,
           max(b.awarded_at) AS last_award
    FROM {badges} AS b
    GROUP BY b.code
) AS held ON held.code = d.code
LEFT JOIN (
    SELECT f.code, sum(f.occurrences)::bigint AS occurrences FROM {failures} AS f GROUP BY f.code
) AS failed ON failed.code = d.code
LEFT JOIN (
    SELECT p.code, count(*) AS checks FROM {pending} AS p GROUP BY p.code
) AS pending ON pending.code = d.code

-- The places of the leaderboard from {start} to {stop}, and that of the user {viewer} wherever it is. All badges that
-- have not expired are added up; who had the points first, by the last award that brought some, precedes those who
-- reached as many later. Awards of version 0.1 have no time, and precede all others.
WITH by_user AS (
    SELECT b.user_id, sum(d.points) AS points, count(*) AS badges,
           max(b.awarded_at) FILTER (WHERE d.points > 0) AS reached_at
    FROM {badges} AS b
    JOIN {definitions} AS d ON d.code = b.code
    WHERE b.expires_at IS NULL OR b.expires_at > statement_timestamp()
    GROUP BY b.user_id
    HAVING sum(d.points) > 0
), placed AS (
    SELECT user_id, points, badges,
           rank() OVER (ORDER BY points DESC, reached_at NULLS FIRST) AS rank,
           row_number() OVER (ORDER BY points DESC, reached_at NULLS FIRST, user_id) AS number
    FROM by_user
)
SELECT rank, user_id, points, badges, number > {start} AND number <= {stop} AS is_asked, user_id = {viewer} AS is_own
FROM placed
WHERE number > {start} AND number <= {stop} OR user_id = {viewer}
ORDER BY number

-- The leaderboard as one row of arrays, in its order: the users, their points, the number of their badges, and the time
-- in seconds of the last award that brought points. All badges that have not expired are added up; who had the points
-- first precedes those who reached as many later. Awards of version 0.1 have no time, and precede all others.
SELECT array_agg(ordered.user_id), array_agg(ordered.points), array_agg(ordered.badges), array_agg(ordered.reached)
FROM (
    SELECT b.user_id, sum(d.points) AS points, count(*) AS badges,
           coalesce(date_part('epoch', max(b.awarded_at) FILTER (WHERE d.points > 0)), '-infinity') AS reached
    FROM {badges} AS b
    JOIN {definitions} AS d ON d.code = b.code
    WHERE b.expires_at IS NULL OR b.expires_at > statement_timestamp()
    GROUP BY b.user_id
    HAVING sum(d.points) > 0
    ORDER BY points DESC, reached, b.user_id
) AS ordered

-- The points of one user, the number of badges and the time of the last award that brought points, as ranking.sql has
-- them for all users. No row without points.
SELECT sum(d.points) AS points, count(*),
       coalesce(date_part('epoch', max(b.awarded_at) FILTER (WHERE d.points > 0)), '-infinity')
FROM {badges} AS b
JOIN {definitions} AS d ON d.code = b.code
WHERE b.user_id = {viewer} AND (b.expires_at IS NULL OR b.expires_at > statement_timestamp())
HAVING sum(d.points) > 0

-- Of the users who would lose one badge: how many, and the first few.
WITH losers AS MATERIALIZED (
    SELECT DISTINCT losing.user_id
    FROM (
{losing}
    ) AS losing
)
SELECT (SELECT count(*) FROM losers),
       ARRAY(SELECT user_id::text FROM losers ORDER BY losers.user_id LIMIT {size})

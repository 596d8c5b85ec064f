-- Of the users who qualify for one badge now: how many, how many of them lack it, and the first few, new ones first.
WITH qualifying AS MATERIALIZED (
{qualifying}
), marked AS MATERIALIZED (
    SELECT user_id, bool_or({lacks}) AS is_new
    FROM qualifying
    GROUP BY user_id
)
SELECT (SELECT count(*) FROM marked),
       (SELECT count(*) FROM marked WHERE is_new),
       ARRAY(SELECT user_id::text FROM marked WHERE is_new ORDER BY marked.user_id LIMIT {size}),
       ARRAY(SELECT user_id::text FROM marked WHERE NOT is_new ORDER BY marked.user_id LIMIT {size})

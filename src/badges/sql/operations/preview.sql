-- Of the users who qualify for one badge now: how many, how many of them lack it, how often, and the first few, new ones first.
WITH qualifying AS MATERIALIZED (
{qualifying}
), marked AS MATERIALIZED (
    SELECT user_id, bool_or(is_lacking) AS is_new, count(*) FILTER (WHERE is_lacking) AS lacking
    FROM (SELECT qualifying.user_id, {lacks} AS is_lacking FROM qualifying OFFSET 0) AS looked_up
    GROUP BY user_id
)
SELECT (SELECT count(*) FROM marked),
       (SELECT count(*) FROM marked WHERE is_new),
       (SELECT coalesce(sum(lacking), 0)::bigint FROM marked),
       ARRAY(SELECT user_id::text FROM marked WHERE is_new ORDER BY marked.user_id LIMIT {size}),
       ARRAY(SELECT user_id::text FROM marked WHERE NOT is_new ORDER BY marked.user_id LIMIT {size})

-- All badges that are held according to the history: none, if it has been truncated as well.
SELECT last.user_id, last.code::text AS code, last.thing, NULL::jsonb AS evidence,
       'revoked' AS kind, 'truncate' AS cause
FROM (
    SELECT DISTINCT ON (e.user_id, e.code, e.thing) e.user_id, e.code, e.thing, e.kind
    FROM {events} AS e
    ORDER BY e.user_id, e.code, e.thing, e.at DESC NULLS LAST
) AS last
WHERE last.kind = 'awarded'

-- Completes the history for badges awarded or revoked while the triggers that write it were not installed. These events
-- are quiet: they are not delivered.
WITH last AS (
    SELECT DISTINCT ON (e.user_id, e.code, e.thing) e.user_id, e.code, e.thing, e.kind
    FROM {events} AS e
    ORDER BY e.user_id, e.code, e.thing, e.at DESC NULLS LAST
),
held AS (
    SELECT b.user_id, b.code, b.thing, b.awarded_at, b.evidence FROM {badges} AS b
)
INSERT INTO {events} (user_id, code, thing, kind, at, cause, evidence, quiet)
SELECT coalesce(held.user_id, last.user_id),
       coalesce(held.code, last.code),
       coalesce(held.thing, last.thing),
       CASE WHEN held.user_id IS NULL THEN 'revoked' ELSE 'awarded' END,
       CASE WHEN last.user_id IS NULL THEN held.awarded_at ELSE clock_timestamp() END,
       coalesce(
           CASE held.evidence ->> 'operation' WHEN 'award_badges' THEN 'award_badges'
           ELSE (held.evidence ->> 'operation') || ' on ' || (held.evidence ->> 'table') END,
           'found'),
       held.evidence,
       true
FROM held
FULL JOIN last ON last.user_id = held.user_id AND last.code = held.code AND last.thing = held.thing
WHERE (held.user_id IS NOT NULL) <> coalesce(last.kind = 'awarded', false)

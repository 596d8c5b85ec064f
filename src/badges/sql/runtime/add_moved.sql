-- Behind the trigger that sees badges change: one that has another user, code or thing has gone there and come here.
CREATE OR REPLACE FUNCTION {function}()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $badges$
BEGIN
    -- Nobody holds a badge twice, so what is among the rows before and after has stayed.
    PERFORM {add_events}(
        moved.kind, 'moved',
        array_agg(moved.user_id), array_agg(moved.code), array_agg(moved.thing), array_agg(moved.evidence))
    FROM (
        SELECT min(side.kind) AS kind, side.user_id, side.code, side.thing, (array_agg(side.evidence))[1] AS evidence
        FROM (
            SELECT 'revoked' AS kind, b.user_id, b.code::text AS code, b.thing AS thing, b.evidence FROM badges_old AS b
            UNION ALL
            SELECT 'awarded', b.user_id, b.code::text, b.thing, b.evidence FROM badges_new AS b
        ) AS side
        GROUP BY side.user_id, side.code, side.thing
        HAVING count(*) = 1
    ) AS moved
    GROUP BY moved.kind
    ORDER BY moved.kind DESC;
    RETURN NULL;
END
$badges$

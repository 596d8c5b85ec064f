-- Behind the trigger that sees the badges truncated: all that were held by the history are gone. If the history has been
-- truncated with them, there is nothing to write.
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
    PERFORM {add_events}(
        'revoked', 'truncate', array_agg(last.user_id), array_agg(last.code::text), array_agg(last.thing), array_agg(NULL::jsonb))
    FROM (
        SELECT DISTINCT ON (e.user_id, e.code, e.thing) e.user_id, e.code, e.thing, e.kind
        FROM {events} AS e
        ORDER BY e.user_id, e.code, e.thing, e.at DESC NULLS LAST
    ) AS last
    WHERE last.kind = 'awarded'
    HAVING count(*) > 0;
    RETURN NULL;
END
$badges$

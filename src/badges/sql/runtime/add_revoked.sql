-- Behind the trigger that sees each badge go: writes it into the history.
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
        'revoked', 'sql', array_agg(b.user_id), array_agg(b.code::text), array_agg(b.thing), array_agg(b.evidence))
    FROM badges_old AS b
    HAVING count(*) > 0;
    RETURN NULL;
END
$badges$

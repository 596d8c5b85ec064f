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
    PERFORM {add_events}(
        'revoked', 'moved', array_agg(b.user_id), array_agg(b.code::text), array_agg({thing}), array_agg(b.evidence))
    FROM badges_old AS b
    WHERE (b.user_id, b.code, {thing}) NOT IN (SELECT b.user_id, b.code, {thing} FROM badges_new AS b)
    HAVING count(*) > 0;
    PERFORM {add_events}(
        'awarded', 'moved', array_agg(b.user_id), array_agg(b.code::text), array_agg({thing}), array_agg(b.evidence))
    FROM badges_new AS b
    WHERE (b.user_id, b.code, {thing}) NOT IN (SELECT b.user_id, b.code, {thing} FROM badges_old AS b)
    HAVING count(*) > 0;
    RETURN NULL;
END
$badges$

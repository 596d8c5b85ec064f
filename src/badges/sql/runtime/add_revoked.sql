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
        gone.kind, 'sql', array_agg(gone.user_id), array_agg(gone.code::text), array_agg(gone.thing), array_agg(gone.evidence))
    FROM (
        SELECT b.user_id, b.code, b.thing, b.evidence,
               CASE WHEN b.expires_at <= statement_timestamp() THEN 'expired' ELSE 'revoked' END AS kind
        FROM badges_old AS b
    ) AS gone
    GROUP BY gone.kind;
    RETURN NULL;
END
$badges$

CREATE OR REPLACE FUNCTION {function}(former_key {key}, moved_user {key})
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $badges$
-- Moves pending checks to the new key of their user. Those that an open transaction has locked stay.
{origin}
BEGIN
    WITH moved AS (
        DELETE FROM {pending} AS p
        WHERE p.id IN (
            SELECT p.id FROM {pending} AS p
            WHERE p.user_id = former_key
            FOR UPDATE SKIP LOCKED)
        RETURNING p.*
    )
    INSERT INTO {pending}
        (bucket, user_id, code, thing, what, evidence, noted_by, noted_at, failed_at)
    SELECT {bucket},
           moved_user, m.code, m.thing, m.what, m.evidence, m.noted_by, m.noted_at, m.failed_at
    FROM moved AS m
    ON CONFLICT DO NOTHING;  -- the same transaction has left the same check under the new key
END
$badges$

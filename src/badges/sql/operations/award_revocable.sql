-- Awards a revocable badge. A write that makes its condition false at the same time has not seen the award: it
-- holds the lock of the user, so that a check is left for after it; or it comes later, finds the lock taken and leaves one itself.
WITH awarded AS (
    INSERT INTO {badges} (user_id, code, thing, evidence, expires_at)
SELECT found.user_id, found.code, found.thing, {shortened}(found.evidence), found.expires_at
FROM (
{qualifying}
) AS found
    ON CONFLICT DO NOTHING
    RETURNING user_id, thing
),
fresh AS MATERIALIZED (
    SELECT {bucket} AS bucket, awarded.user_id, awarded.thing FROM awarded
),
checked AS (
    INSERT INTO {pending} (bucket, user_id, code, thing, what, evidence)
    SELECT fresh.bucket, fresh.user_id, {code}, fresh.thing, {tenant}, {evidence}::jsonb
    FROM fresh
    WHERE NOT pg_try_advisory_xact_lock({lock}, fresh.bucket)
    ON CONFLICT DO NOTHING
)
SELECT count(*) FROM awarded

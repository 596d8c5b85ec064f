-- Awards a badge to all who qualify and lack it.
WITH awarded AS (
    INSERT INTO {badges} (user_id, code, thing, evidence, expires_at)
SELECT found.user_id, found.code, found.thing, {shortened}(found.evidence), found.expires_at
FROM (
{qualifying}
) AS found
    ON CONFLICT DO NOTHING
    RETURNING user_id
)
SELECT count(*) FROM awarded

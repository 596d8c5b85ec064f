-- Awards a badge to all who qualify and lack it.
WITH awarded AS (
    INSERT INTO {badges} (user_id, code, thing, evidence, expires_at)
{qualifying}
    ON CONFLICT DO NOTHING
    RETURNING user_id
)
SELECT count(*) FROM awarded

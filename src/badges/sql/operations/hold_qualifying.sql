-- Keeps those who qualify for a badge, numbered, so that they can be awarded in parts.
CREATE TEMPORARY TABLE badges_qualifying ON COMMIT DROP AS
SELECT row_number() OVER () AS place, found.user_id, found.code, found.thing, found.evidence, found.expires_at
FROM (
{qualifying}
) AS found

-- Leaves a pending check for each user who would lose a badge.
INSERT INTO {pending} (bucket, user_id, code, thing, what, evidence)
SELECT {bucket}, losing.user_id, {code}, losing.thing, {tenant}, {evidence}::jsonb
FROM (
{losing}
) AS losing
ON CONFLICT DO NOTHING

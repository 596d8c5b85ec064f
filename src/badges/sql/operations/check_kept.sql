-- Leaves a pending check for some of those who are kept.
INSERT INTO {pending} (bucket, user_id, code, thing, what, evidence)
SELECT {bucket}, found.user_id, {code}, found.thing, {tenant}, {evidence}::jsonb
FROM pg_temp.badges_qualifying AS found
WHERE found.place BETWEEN {first} AND {last}
ON CONFLICT DO NOTHING

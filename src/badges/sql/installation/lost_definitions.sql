-- Adds the definitions that were deleted while the foreign key was missing, as retired: users still hold their badges.
INSERT INTO {definitions}
    (code, name, description, category, image, points, position, secret, condition, trigger_condition,
     trigger_table, user_field, retired_at, translations, progress, triggers, per, revocable, active, expires_after,
     time_zone, rule)
SELECT DISTINCT
    b.code, b.code, '', '', '', 0, 0, false, '', '[]'::jsonb,
    '', '', statement_timestamp(), '{{}}'::jsonb, '', '[]'::jsonb, '', false, true, '',
    '', ''
FROM {badges} AS b
WHERE NOT EXISTS (SELECT FROM {definitions} AS d WHERE d.code = b.code)

-- Definitions for contestants that install none of their own: badges reference them.
INSERT INTO badges_badgedefinition (
    code, name, description, category, image, points, position, secret, translations, condition, trigger_condition,
    trigger_table, user_field, progress, triggers, per, revocable, active, expires_after, rule
)
SELECT code, '', '', '', '', 0, 0, false, '{}', '', '[]', '', '', '', '[]', '', false, true, '', ''
FROM unnest(%s::text[]) AS code
ON CONFLICT DO NOTHING

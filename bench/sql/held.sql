-- All users hold these badges.
INSERT INTO badges_badge (user_id, code) SELECT u.id, code FROM auth_user AS u CROSS JOIN unnest(%s::text[]) AS code

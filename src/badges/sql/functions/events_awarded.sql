SELECT b.user_id, b.code::text AS code, b.thing, b.evidence, 'awarded' AS kind, NULL AS cause
FROM badges_new AS b

SELECT b.user_id, b.code::text AS code, b.thing, b.evidence,
       CASE WHEN b.expires_at <= statement_timestamp() THEN 'expired' ELSE 'revoked' END AS kind,
       'sql' AS cause
FROM badges_old AS b

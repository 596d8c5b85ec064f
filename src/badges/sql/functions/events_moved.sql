-- A badge is held at most once, so a user, code and thing among both the old and the new rows is
-- unchanged. The other badges have moved: each was revoked there and awarded here.
SELECT side.user_id, side.code, side.thing, (array_agg(side.evidence))[1] AS evidence,
       min(side.kind) AS kind, 'moved' AS cause
FROM (
    SELECT b.user_id, b.code::text AS code, b.thing, b.evidence, 'revoked' AS kind
    FROM badges_old AS b
    UNION ALL
    SELECT b.user_id, b.code::text, b.thing, b.evidence, 'awarded'
    FROM badges_new AS b
) AS side
-- A user whose key has changed is the same user: the foreign key moves badges and events alike.
WHERE NOT EXISTS (
    SELECT FROM badges_old AS o JOIN badges_new AS n USING (id)
    WHERE side.user_id IN (o.user_id, n.user_id) AND o.user_id IS DISTINCT FROM n.user_id
      AND (SELECT true FROM {users} AS u WHERE u.{user_key} = o.user_id) IS NULL)
GROUP BY side.user_id, side.code, side.thing
HAVING count(*) = 1
ORDER BY kind DESC

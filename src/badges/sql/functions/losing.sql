-- Holders of the badge, other than by a manual award, whose condition is not true now.
SELECT b.user_id, b.thing
FROM {badges} AS b
WHERE b.code = {code}
  AND NOT b.by_hand
  AND (b.expires_at IS NULL OR b.expires_at > statement_timestamp())
  AND NOT coalesce({state}, false)

-- Holders of the badge, other than by a manual award, whose condition is not true now.
SELECT b.user_id, b.thing
FROM {badges} AS b
WHERE b.code OPERATOR(pg_catalog.=) {code}
  AND NOT b.by_hand
  {of_tenant}
  {bounds}
  AND (b.expires_at IS NULL OR b.expires_at OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp())
  AND NOT coalesce({state}, false)

-- The users who hold one badge, not by hand, and whose rows do not meet its condition now.
SELECT b.user_id
FROM {badges} AS b
WHERE b.code COLLATE "C" = {code}
  -- What badges_award was given has no operation.
  AND b.evidence ->> 'operation' IS NOT NULL
  AND NOT EXISTS (
      SELECT FROM (
{qualifying}
      ) AS qualifying
      WHERE qualifying.user_id = b.user_id
  )

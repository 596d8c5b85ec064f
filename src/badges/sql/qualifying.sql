-- The users who lack one badge and whose rows meet its condition now, each once, with one such row as evidence.
SELECT DISTINCT ON ({user}) {user} AS user_id, {code} AS code, {evidence} AS evidence
FROM {rows}
WHERE NOT EXISTS (SELECT FROM {badges} AS b WHERE b.user_id = {user} AND b.code COLLATE "C" = {code})
  AND EXISTS (SELECT FROM {users} AS u WHERE u.{user_key} = {user})
  AND (SELECT {condition}
  )
ORDER BY {user}

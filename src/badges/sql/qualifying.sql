-- The users whose rows meet the condition of one badge now, each once, with one such row as evidence.
SELECT DISTINCT ON ({user}) {user} AS user_id, {code} AS code, {evidence} AS evidence
FROM {rows}
WHERE {lacks}
  AND EXISTS (SELECT FROM {users} AS u WHERE u.{user_key} = {user})
  AND (SELECT {condition}
  )
ORDER BY {user}

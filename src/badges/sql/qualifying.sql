-- The users whose rows meet the condition of one badge now, each once (once for each thing), with one such row as evidence.
SELECT DISTINCT ON ({user}, {thing})
       {user} AS user_id, {code} AS code, {thing} AS thing, {evidence} AS evidence, {expires_at} AS expires_at
FROM {rows}
WHERE {lacks}
  AND {thing} IS NOT NULL
  AND EXISTS (SELECT FROM {users} AS u WHERE u.{user_key} = {user})
  AND (SELECT {condition}
  )
ORDER BY {user}, {thing}

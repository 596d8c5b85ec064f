-- The users whose rows meet the condition of one badge now, each once (once for each thing), with one such row as evidence.
SELECT DISTINCT ON ({user}, {thing})
       {user} AS user_id, {code} AS code, {thing} AS thing, {evidence} AS evidence, {expires_at} AS expires_at
FROM (
    -- OFFSET 0 keeps PostgreSQL from asking the condition before it knows who is to be asked about.
    SELECT new.*
    FROM {rows}
    WHERE {lacks}
      AND {thing} IS NOT NULL
      AND EXISTS (SELECT FROM {users} AS u WHERE u.{user_key} = {user}{one_by_one})
    OFFSET 0
) AS new
WHERE (SELECT {condition}
  )
ORDER BY {user}, {thing}

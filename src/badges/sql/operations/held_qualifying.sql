-- Some of those who are kept, as far as they still exist.
SELECT found.user_id, found.code, found.thing, found.evidence, found.expires_at
FROM pg_temp.badges_qualifying AS found
WHERE found.place BETWEEN {first} AND {last}
  AND (SELECT true FROM {users} AS u WHERE u.{user_key} = found.user_id)

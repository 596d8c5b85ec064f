SELECT {found} FROM {badges} AS b
WHERE b.user_id = {user}
  AND b.code COLLATE "C" IN ({codes})
  AND b.thing = {thing}
  {and_unexpired}

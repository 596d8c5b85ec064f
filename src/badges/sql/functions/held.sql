SELECT {found} FROM {badges} AS b
WHERE b.user_id {equals} {user}
  AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
      {any_code}
  AND b.thing OPERATOR(pg_catalog.=) {thing}
  {and_unexpired}

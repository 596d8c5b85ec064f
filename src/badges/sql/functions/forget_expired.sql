DELETE FROM {badges} AS b
WHERE b.user_id {equals} own.the_user AND b.code COLLATE "C" OPERATOR(pg_catalog.=) {any_code}
  AND b.thing OPERATOR(pg_catalog.=) own.the_thing
  AND b.expires_at OPERATOR(pg_catalog.<=) pg_catalog.statement_timestamp();

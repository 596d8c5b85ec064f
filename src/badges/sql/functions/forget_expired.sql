DELETE FROM {badges} AS b
WHERE b.user_id = own.the_user AND b.code COLLATE "C" IN ({codes})
  AND b.thing = own.the_thing AND b.expires_at <= statement_timestamp();

DELETE FROM {badges} AS b
WHERE b.code COLLATE "C" = {code} AND b.expires_at <= statement_timestamp();

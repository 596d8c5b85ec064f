BEGIN
    DELETE FROM {badges} AS b
    WHERE b.code COLLATE "C" OPERATOR(pg_catalog.=) {code}
      AND b.expires_at OPERATOR(pg_catalog.<=) pg_catalog.statement_timestamp();
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    NULL;  -- another transaction deletes one of the users; the next call deletes what has expired
END;

IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>) own.due THEN
    PERFORM {note_overrun}(
        ARRAY(
            SELECT each.code
            FROM unnest(
                {codes},
                {revocable}
            ) AS each (code, is_revocable)
            WHERE {was_evaluated}),
        own.due,
        {evaluations});
END IF;

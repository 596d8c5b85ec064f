-- {name}
BEGIN
    {zone}
    {forget}
    FOR part IN
        WITH found AS (
            {qualifying}
        ),
        numbered AS (
            SELECT found.*,
                   (pg_catalog.row_number() OVER () OPERATOR(pg_catalog.-) 1) OPERATOR(pg_catalog./) {most} AS number
            FROM found
        )
        SELECT pg_catalog.array_agg(n.user_id) AS users, pg_catalog.array_agg(n.thing) AS things,
               pg_catalog.array_agg(n.code) AS codes,
               pg_catalog.array_agg(n.evidence) AS evidences, pg_catalog.array_agg('award'::text) AS verdicts
        FROM numbered AS n
        GROUP BY n.number
    LOOP
        -- Skips users who have been deleted since; leaves a pending check where another transaction holds a lock.
        PERFORM {record}(part.users, part.things, part.codes, part.evidences, part.verdicts);
    END LOOP;
    SELECT pg_catalog.count(*) INTO added
    FROM {badges} AS b
    WHERE b.code COLLATE "C" OPERATOR(pg_catalog.=) {code}
      AND b.awarded_at OPERATOR(pg_catalog.=) pg_catalog.statement_timestamp();
    {losing}
    awarded := awarded OPERATOR(pg_catalog.+) added;
EXCEPTION
    WHEN lock_not_available OR deadlock_detected THEN
        failed := failed OPERATOR(pg_catalog.+) 1;
    WHEN OTHERS OR assert_failure THEN
        IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
           AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
        THEN
            RAISE;
        END IF;
        PERFORM {note_failure}({code}, SQLSTATE, SQLERRM{tenant});
        failed := failed OPERATOR(pg_catalog.+) 1;
END;

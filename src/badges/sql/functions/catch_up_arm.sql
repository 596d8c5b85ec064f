-- {name}
BEGIN
    {zone}
    {forget}
    FOR part IN
        WITH found AS (
            {qualifying}
        ),
        numbered AS (
            SELECT found.*, (row_number() OVER () - 1) / {most} AS number FROM found
        )
        SELECT array_agg(n.user_id) AS users, array_agg(n.thing) AS things, array_agg(n.code) AS codes,
               array_agg(n.evidence) AS evidences, array_agg('award'::text) AS verdicts
        FROM numbered AS n
        GROUP BY n.number
    LOOP
        -- Skips users who have been deleted since; leaves a pending check where another transaction holds a lock.
        PERFORM {record}(part.users, part.things, part.codes, part.evidences, part.verdicts);
    END LOOP;
    SELECT count(*) INTO added
    FROM {badges} AS b
    WHERE b.code COLLATE "C" = {code} AND b.awarded_at = statement_timestamp();
    {losing}
    awarded := awarded + added;
EXCEPTION
    WHEN lock_not_available OR deadlock_detected THEN
        failed := failed + 1;
    WHEN OTHERS OR assert_failure THEN
        IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
            RAISE;
        END IF;
        PERFORM {note_failure}({code}, SQLSTATE, SQLERRM);
        failed := failed + 1;
END;

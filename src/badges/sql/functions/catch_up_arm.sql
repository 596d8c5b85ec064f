-- {name}
BEGIN
    {forget}
    INSERT INTO {badges} (user_id, code, thing, evidence, expires_at)
    SELECT found.user_id, found.code, found.thing, found.evidence, found.expires_at
    FROM (
        {qualifying}
    ) AS found
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
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

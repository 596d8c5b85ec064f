BEGIN
    PERFORM {function}(
        {asks},
        {evidence},
        array_agg({known_user}),
        array_agg({thing}),
        array_agg({new}),
        array_agg({old}),
        {codes},
        {cross_row},
        {revocable},
        ARRAY[{reads}])
    FROM {rows}
    WHERE {user} IS NOT NULL;
EXCEPTION WHEN OTHERS OR assert_failure THEN
    IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
        RAISE;
    END IF;
    BEGIN
        IF left(SQLSTATE, 2) IN ('40', '53', '55') THEN
            -- Not an error of a condition: a lock timeout, a deadlock, a lack of memory. Pending checks
            -- are left by the changed rows alone: no table is read, which could be locked as well.
            PERFORM {postpone}(
                {asks},
                {evidence},
                array_agg({key_of_user}),
                array_agg({thing}),
                array_agg({new}),
                array_agg({old}),
                {codes},
                ARRAY[{reads}])
            FROM {rows}
            WHERE {user} IS NOT NULL;
        ELSE
            -- The error concerns all of these badges: the user's column is gone, for instance.
            PERFORM {note_failure}(failed.code, SQLSTATE, SQLERRM)
            FROM unnest({codes}) AS failed (code);
        END IF;
    EXCEPTION WHEN OTHERS THEN
        RAISE WARNING 'badges after % on %.% could not be checked: %',
            TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
    END;
END;

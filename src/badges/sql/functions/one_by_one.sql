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
        -- The error concerns all of these badges: the user's column is gone, for instance.
        PERFORM {note_failure}(failed.code, SQLSTATE, SQLERRM)
        FROM unnest({codes}) AS failed (code);
    EXCEPTION WHEN OTHERS THEN
        RAISE WARNING 'badges after % on %.% could not be checked: %',
            TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
    END;
END;

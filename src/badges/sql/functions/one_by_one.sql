BEGIN
    {unresolved}
    PERFORM {function}(
        {asks},
        {evidence},
        pg_catalog.array_agg({known_user})::{key}[],
        pg_catalog.array_agg({thing}),
        pg_catalog.array_agg({new}),
        pg_catalog.array_agg({old}),
        {codes},
        {cross_row},
        {revocable},
        ARRAY[{reads}]{tenant})
    FROM {rows}
    WHERE {user} IS NOT NULL;
EXCEPTION WHEN OTHERS OR assert_failure THEN
    IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
       AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
    THEN
        RAISE;
    END IF;
    BEGIN
        IF pg_catalog.left(SQLSTATE, 2) OPERATOR(pg_catalog.=) ANY ('{{40,53,55}}')
           OR SQLSTATE OPERATOR(pg_catalog.=) '42804'
        THEN
            -- Not an error of a condition: a lock timeout, a deadlock, a lack of memory, a column that has
            -- had another type when this session first read it. Pending checks are left by the changed rows
            -- alone: no table is read, which could be locked as well.
            {postponed}
        ELSE
            -- The error concerns all of these badges: the user's column is gone, for instance.
            PERFORM {note_failure}(failed.code, SQLSTATE, SQLERRM{failed_once})
            FROM pg_catalog.unnest(
                {codes}) AS failed (code);
        END IF;
    EXCEPTION WHEN OTHERS THEN
        RAISE WARNING 'badges after % on %.% could not be checked: %',
            TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
    END;
END;

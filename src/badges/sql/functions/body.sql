
{summary}
{origin}
#variable_conflict use_column
<<own>>
DECLARE
    the_user {key};
    the_thing text;
    bucket integer;
    held text[];
    deferred text[];
    due timestamptz;
    are_many boolean;
    is_busy boolean;
    earned boolean[];
    has_checks boolean;
    follows boolean;
    buckets integer[];
    busy integer[];
    users {key}[];
    things text[];
    codes text[];
    evidences jsonb[];
    verdicts text[];
BEGIN
    -- Guard: attached to another table, this SECURITY DEFINER function could award for forged rows, so every statement
    -- first checks which table fired it.
    BEGIN
        {awards}
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        -- The write that fired this trigger must succeed, whatever has failed here. Only a serialization failure must
        -- end it: under SERIALIZABLE PostgreSQL relies on that.
        IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
           AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
        THEN
            RAISE;
        ELSIF SQLSTATE OPERATOR(pg_catalog.=) '55P03' THEN
            PERFORM {seal}('patience', '');
        END IF;
        IF {is_own_table}
        THEN
            {one_by_one}
        ELSE
            BEGIN
                {misplaced}
            EXCEPTION WHEN OTHERS THEN
                IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
                   AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
                THEN
                    RAISE;
                END IF;
                RAISE WARNING 'badges after % on %.% could not be checked: %',
                    TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
            END;
        END IF;
    END;
    RETURN NULL;
END

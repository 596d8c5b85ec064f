
-- Awards {codes} after {event} on {table}.
-- Written by create_badge_triggers (django-pg-badges) from the badge file; what is changed here is lost at its next run.
#variable_conflict use_column
<<own>>
DECLARE
    the_user {key};
    the_thing text;
    bucket integer;
    held text[];
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
    -- Attached to another table, this function would award badges for made-up rows, hence all the looks at its table.
    BEGIN
{awards}
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        -- The write that is going on must succeed, whatever is wrong here; but a serialization failure must end it.
        IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
            RAISE;
        ELSIF SQLSTATE = '55P03' THEN
            PERFORM set_config('badges.patience', 'spent', true);
        END IF;
        IF {is_own_table} THEN
{one_by_one}
        END IF;
    END;
    RETURN NULL;
END

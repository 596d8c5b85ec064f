
-- Awards {codes} after {event} on {table}.
-- Written by create_badge_triggers (django-pg-badges) from the badge file; what is changed here is lost at its next run.
#variable_conflict use_column
BEGIN
    -- Attached to another table, this function would award badges for made-up rows.
    IF NOT {is_own_table} THEN
        RETURN NULL;
    END IF;
{is_empty}{awards}
    RETURN NULL;
END

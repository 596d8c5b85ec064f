
-- Written by create_badge_triggers (django-pg-badges) from the badge file; what is changed here is lost at its next run.
#variable_conflict use_column
DECLARE
    added integer;
    losing_users {key}[] := '{{}}';
    losing_codes text[] := '{{}}';
    losing_things text[] := '{{}}';
BEGIN
    awarded := 0;
    taken_back := 0;
    failed := 0;
{arms}    -- Locks on users are taken as late as can be, and are never waited for.
    PERFORM {settle}(NULL, {most} + cardinality(losing_users));
    SELECT count(*) INTO taken_back
    FROM unnest(losing_users, losing_codes, losing_things) AS lost (user_id, code, thing)
    WHERE NOT EXISTS (
        SELECT FROM {badges} AS b
        WHERE b.user_id = lost.user_id AND b.code COLLATE "C" = lost.code AND b.thing = lost.thing);
END

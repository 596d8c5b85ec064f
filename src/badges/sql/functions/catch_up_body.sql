
-- Awards and revokes the badges that need catch-up: those that triggers alone do not maintain.
-- Does the work of "award_badges --late" in one call. Concurrent writes wait for it no longer than for other badge
-- work. An award that another transaction blocks is left to a pending check.
{origin}
#variable_conflict use_column
DECLARE
    added integer;
    part record;
    losing_users {key}[] := '{{}}';
    losing_codes text[] := '{{}}';
    losing_things text[] := '{{}}';
BEGIN
    awarded := 0;
    taken_back := 0;
    failed := 0;
    {arms}
    -- Last, as it locks the buckets of users (it never waits for them).
    PERFORM {settle}(NULL, {most} OPERATOR(pg_catalog.+) pg_catalog.cardinality(losing_users));
    SELECT pg_catalog.count(*) INTO taken_back
    FROM unnest(losing_users, losing_codes, losing_things) AS lost (user_id, code, thing)
    WHERE NOT EXISTS (
        SELECT FROM {badges} AS b
        WHERE b.user_id {equals} lost.user_id AND b.code COLLATE "C" OPERATOR(pg_catalog.=) lost.code
          AND b.thing OPERATOR(pg_catalog.=) lost.thing);
END

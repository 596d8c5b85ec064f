-- First, in a statement of its own, the buckets of the users who lack a badge are locked. The next
-- statement's snapshot then shows what earlier holders of those locks have committed.
SELECT pg_catalog.array_agg(lacking.bucket),
       pg_catalog.array_agg(lacking.bucket)
           FILTER (WHERE NOT pg_catalog.pg_try_advisory_xact_lock({lock}, lacking.bucket))
INTO own.buckets, own.busy
FROM (
    SELECT DISTINCT {bucket_of_each} AS bucket
    FROM (
        SELECT DISTINCT {user} AS user_id, {thing} AS thing
        FROM {rows}
        WHERE {user} IS NOT NULL
    ) AS each
    {where_wanted}
    OFFSET 0
) AS lacking;
IF own.buckets IS NOT NULL THEN
    IF own.busy IS NOT NULL
       OR pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed'
       OR pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.>) {deepest}
    THEN
        own.busy := {wait}(own.buckets, own.busy);
    END IF;
    {begin}
    -- A condition that is true awards, with or without the lock. One that is false leaves a pending check
    -- if another transaction has the lock, as that transaction may be about to commit the missing rows. A
    -- user whose bucket was not locked has lost a badge since that statement, and counts as not locked.
    SELECT pg_catalog.array_agg({known_user}),
           pg_catalog.array_agg({thing}),
           pg_catalog.array_agg(badge.code),
           pg_catalog.array_agg(
               {evidence}),
           pg_catalog.array_agg(verdict.verdict)
    INTO own.users, own.things, own.codes, own.evidences, own.verdicts
    FROM {distinct_rows}
    CROSS JOIN LATERAL (
        SELECT {held_or_deferred} AS codes
        OFFSET 0
    ) AS badges_held
    {shared}
    CROSS JOIN LATERAL (
        VALUES
        {conditions}
        OFFSET 0  -- otherwise a single badge's condition is evaluated once for each use of its result
    ) AS badge (code, earned, leaves_check, is_revocable)
    CROSS JOIN LATERAL (
        SELECT each.bucket OPERATOR(pg_catalog.=) ANY (own.busy)
               OR each.bucket OPERATOR(pg_catalog.<>) ALL (own.buckets) AS is_busy
        FROM (SELECT {bucket} AS bucket) AS each
    ) AS lock
    CROSS JOIN LATERAL (
        SELECT 'award' WHERE badge.earned
        UNION ALL
        SELECT 'check'
        WHERE (badge.is_revocable OR NOT badge.earned) AND {is_uncertain}
           OR NOT badge.earned AND badge.leaves_check
        UNION ALL
        SELECT 'revoke'
        WHERE NOT badge.earned AND badge.is_revocable
          AND badge.code OPERATOR(pg_catalog.=) ANY (badges_held.codes)
          AND lock.is_busy IS NOT TRUE
    ) AS verdict (verdict)
    {where_thing};
    {measure}
    IF own.users IS NOT NULL THEN
        PERFORM {record}(own.users, own.things, own.codes, own.evidences, own.verdicts);
    END IF;
END IF;

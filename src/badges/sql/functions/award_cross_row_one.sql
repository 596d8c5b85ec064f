-- First, in a statement of its own, the user's bucket is locked. The next statement's snapshot then shows
-- what earlier holders of the lock have committed.
own.is_busy := NOT pg_catalog.pg_try_advisory_xact_lock({lock}, own.bucket)
    OR pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed'
    OR pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.>) {deepest};
IF own.is_busy THEN
    own.is_busy := {wait}(ARRAY[own.bucket], ARRAY[own.bucket]) IS NOT NULL;
    own.held := {held_or_deferred};
{held_by_now}
END IF;
{begin}
SELECT found.earned, found.has_checks,
       found.has_checks OR {follows}
INTO own.earned, own.has_checks, own.follows
FROM (
    SELECT ARRAY[
               {conditions}
           ] AS earned,
           -- Not its own: those are for concurrent transactions, after its end.
           (SELECT true FROM {pending} AS p
            WHERE p.user_id {equals} own.the_user AND NOT own.is_busy
              AND p.code OPERATOR(pg_catalog.=)
                  ANY ({codes})
              {not_deferred}
              AND p.failed_at IS NULL
              AND p.noted_by OPERATOR(pg_catalog.<) pg_catalog.pg_current_xact_id()::text::bigint
            LIMIT 1) AS has_checks
    FROM {rows}
    {shared}
    OFFSET 0
) AS found;
{measure}
-- A condition that is true awards, with or without the lock. One that is false leaves a pending check if
-- another transaction has the lock, as that transaction may be about to commit the missing rows.
IF own.follows THEN
    IF true OPERATOR(pg_catalog.=) ANY (own.earned) THEN
        IF {is_impatient} THEN
            PERFORM pg_catalog.set_config('lock_timeout', '1ms', true);
        END IF;
        {forget_expired}
        {check_keys}
        INSERT INTO {badges} (user_id, code, thing, evidence, expires_at)
        SELECT own.the_user, badge.code, own.the_thing,
               {shortened},
               {expires_at}
        FROM {rows}
        CROSS JOIN (
            VALUES {earned}
        ) AS badge (code, earned)
        WHERE badge.earned
          AND {exists}
        ON CONFLICT DO NOTHING;
        IF NOT FOUND
           AND NOT ({exists})
        THEN
            -- The user is not there yet (a deferred foreign key), or the snapshot does not show the user.
            PERFORM {record}(
                pg_catalog.array_agg(own.the_user),
                pg_catalog.array_agg(own.the_thing),
                pg_catalog.array_agg(badge.code),
                pg_catalog.array_agg(
                    {evidence}),
                pg_catalog.array_agg('check'::text))
            FROM {rows}
            CROSS JOIN (
                VALUES {earned}
            ) AS badge (code, earned)
            WHERE badge.earned;
        END IF;
    END IF;
    IF {others_are_wanted} THEN
        PERFORM {record}(
            pg_catalog.array_agg(own.the_user),
            pg_catalog.array_agg(own.the_thing),
            pg_catalog.array_agg(badge.code),
            pg_catalog.array_agg(
                {evidence}),
            pg_catalog.array_agg(
                CASE WHEN NOT own.is_busy AND badge.is_revocable THEN 'revoke' ELSE 'check' END))
        FROM {rows}
        CROSS JOIN unnest(
            {codes},
            own.earned,
            {leave_checks},
            {revocable}
        ) AS badge (code, earned, leaves_check, is_revocable)
        WHERE (badge.is_revocable OR NOT badge.earned) AND own.is_busy
           OR NOT badge.earned AND badge.leaves_check
           OR NOT badge.earned AND badge.is_revocable AND badge.code OPERATOR(pg_catalog.=) ANY (own.held);
    END IF;
    -- The holder of a lock settles a few checks that others left, of this user and these badges.
    IF own.has_checks THEN
        PERFORM {settle_locked}(
            ARRAY(
                SELECT p.id FROM {pending} AS p
                WHERE p.user_id {equals} own.the_user
                  AND p.code OPERATOR(pg_catalog.=)
                      ANY ({codes})
                  {not_deferred}
                  AND p.failed_at IS NULL
                  AND p.noted_by OPERATOR(pg_catalog.<) pg_catalog.pg_current_xact_id()::text::bigint
                LIMIT 1000
                FOR UPDATE SKIP LOCKED),
            10);
    END IF;
END IF;

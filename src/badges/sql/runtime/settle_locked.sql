CREATE OR REPLACE FUNCTION {function}(
    ids uuid[],
    most integer,
    OUT settled integer,
    OUT kept integer)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET lock_timeout = {timeout}
AS $badges$
-- Settles pending checks whose rows are locked already, by evaluating at most this many.
-- Checks that ask for the same are one evaluation, in a snapshot that is newer than the locks.
{origin}
DECLARE
    previous_event CONSTANT text := current_setting('badges.event', true);
    pending record;
    result record;
    open text[];
    waiting uuid[];
    beside jsonb;
    is_held boolean;
    may_become_true boolean;
    due timestamptz;
    is_slow boolean := false;
    lacking text;
BEGIN
    settled := 0;
    kept := 0;
    IF {is_impatient} THEN
        PERFORM set_config('lock_timeout', '1ms', true);
    END IF;
    -- Checks of rows whose user was not known when they were left: the row's path leads to the user now.
    IF EXISTS (SELECT FROM {pending} AS p WHERE p.id = ANY (ids) AND p.user_id IS NULL) THEN
        BEGIN
            WITH found AS (
                DELETE FROM {pending} AS p
                WHERE p.id = ANY (ids) AND p.user_id IS NULL
                RETURNING p.*,
                          CASE WHEN p.evidence ? 'tenant' THEN
                              {user_in}(
                                  p.evidence ->> 'tenant', p.evidence ->> 'table',
                                  p.evidence #>> '{{path,name}}', p.evidence #>> '{{path,key}}')
                          ELSE
                              {user_of}(
                                  p.evidence ->> 'table', p.evidence #>> '{{path,name}}',
                                  p.evidence #>> '{{path,key}}')
                          END AS key
            ), known AS (
                INSERT INTO {pending} (
                    bucket, user_id, code, thing, what, noted_at, noted_by, evidence)
                SELECT {bucket_of_key},
                       found.key, found.code, found.thing, found.what, found.noted_at, found.noted_by,
                       found.evidence - 'path'
                FROM found
                WHERE found.key IS NOT NULL
                ON CONFLICT DO NOTHING
                RETURNING id
            )
            SELECT ids || array_agg(known.id) INTO ids FROM known;
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            kept := kept + (
                SELECT count(*) FROM {pending} AS p WHERE p.id = ANY (ids) AND p.user_id IS NULL);
            IF left(SQLSTATE, 2) NOT IN ('40', '53', '55') THEN
                UPDATE {pending} AS p SET failed_at = clock_timestamp()
                WHERE p.id = ANY (ids) AND p.user_id IS NULL;
                PERFORM {note_failure}(failed.code, SQLSTATE, SQLERRM, 1, failed.tenant)
                FROM (SELECT DISTINCT p.code, coalesce(p.evidence ->> 'tenant', '') AS tenant
                      FROM {pending} AS p
                      WHERE p.id = ANY (ids) AND p.user_id IS NULL) AS failed;
            END IF;
        END;
    END IF;
    -- Checks of users to whom a change gave rows: transactions that are open now, after its commit, may have written
    -- such rows without seeing the change. These checks are settled when those transactions have ended.
    IF EXISTS (SELECT FROM {pending} AS p WHERE p.id = ANY (ids) AND p.evidence ? 'waits') THEN
        -- Not the snapshot's list: its xmax is that of the last transaction that has ended, and others are beyond.
        open := ARRAY(
            SELECT l.transactionid::text FROM pg_locks AS l
            WHERE l.locktype = 'transactionid' AND l.granted AND l.mode = 'ExclusiveLock'
              AND l.pid IS DISTINCT FROM pg_backend_pid());
        UPDATE {pending} AS p
        SET evidence = p.evidence || jsonb_build_object('waits', to_jsonb(open))
        WHERE p.id = ANY (ids) AND p.evidence -> 'waits' = 'true';
        waiting := ARRAY(
            SELECT p.id FROM {pending} AS p
            WHERE p.id = ANY (ids) AND p.evidence ? 'waits' AND p.evidence -> 'waits' ?| open);
        kept := kept + cardinality(waiting);
        ids := ARRAY(SELECT each.id FROM unnest(ids) AS each (id) WHERE each.id <> ALL (waiting));
    END IF;
    -- Checks of rows that are gone (OLD): transactions that are open beside them may still make the condition true, and
    -- nothing else would evaluate them again. Before the evaluation, as whatever ends later is not seen by it.
    IF EXISTS (SELECT FROM {pending} AS p WHERE p.id = ANY (ids) AND p.evidence ? 'old') THEN
        beside := to_jsonb({beside}());
        waiting := ARRAY(
            SELECT p.id FROM {pending} AS p
            WHERE p.id = ANY (ids) AND p.evidence -> 'beside' <@ beside);
        kept := kept + cardinality(waiting);
        ids := ARRAY(SELECT each.id FROM unnest(ids) AS each (id) WHERE each.id <> ALL (waiting));
    END IF;
    PERFORM {seal}('event', '{{"cause": "settled"}}');
    FOR pending IN
        SELECT array_agg(p.id) AS ids, p.user_id, p.code, p.thing,
               (array_agg(p.evidence ORDER BY p.noted_by))[1] AS evidence,
               -- The badges of a paused or retired definition are never revoked.
               coalesce((SELECT d.revocable AND d.active AND d.retired_at IS NULL
                         FROM {definitions} AS d WHERE d.code = p.code), false) AS is_revocable
        FROM {pending} AS p
        WHERE p.id = ANY (ids) AND p.user_id IS NOT NULL
        GROUP BY p.user_id, p.code, p.thing, p.what
        ORDER BY min(p.failed_at) NULLS FIRST, min(p.noted_by)
        LIMIT most
    LOOP
        BEGIN
            -- After one condition that is slow the rest is left to the next call, as this one holds locks of users.
            IF is_slow OR NOT pg_try_advisory_xact_lock(
                {lock}, {bucket})
            THEN
                kept := kept + cardinality(pending.ids);
                CONTINUE;
            END IF;
            DELETE FROM {badges} AS b
            WHERE b.user_id = pending.user_id AND b.code COLLATE "C" = pending.code AND b.thing = pending.thing
              AND b.expires_at <= statement_timestamp();
            is_held := EXISTS (
                SELECT FROM {badges} AS b
                WHERE b.user_id = pending.user_id AND b.code COLLATE "C" = pending.code AND b.thing = pending.thing);
            may_become_true := false;
            IF pending.is_revocable OR NOT is_held THEN
                due := {due};
                IF pending.evidence ? 'tenant' THEN
                    SELECT * INTO result
                    FROM {check_in}(
                        pending.evidence ->> 'tenant',
                        pending.code, coalesce(pending.evidence ->> 'asks', pending.evidence ->> 'operation'),
                        pending.user_id, pending.thing, pending.evidence -> 'new', pending.evidence -> 'old', true);
                ELSE
                    SELECT * INTO result
                    FROM {check}(
                        pending.code, coalesce(pending.evidence ->> 'asks', pending.evidence ->> 'operation'),
                        pending.user_id, pending.thing, pending.evidence -> 'new', pending.evidence -> 'old', true);
                END IF;
                IF clock_timestamp() > due THEN
                    is_slow := true;
                    PERFORM {note_slow}(pending.code, due);
                END IF;
                may_become_true := pending.evidence ? 'old' AND NOT result.earned;
                IF result.earned AND NOT is_held THEN
                    INSERT INTO {badges} (user_id, code, thing, evidence, expires_at)
                    SELECT u.{user_key}, pending.code, pending.thing,
                           {shortened}(coalesce(result.evidence, pending.evidence)),
                           (SELECT statement_timestamp() + nullif(d.expires_after, '')::interval
                            FROM {definitions} AS d WHERE d.code = pending.code)
                    FROM {users} AS u
                    WHERE u.{user_key} = pending.user_id{key_share}
                    ON CONFLICT DO NOTHING;
                ELSIF NOT result.earned AND pending.is_revocable THEN
                    DELETE FROM {badges} AS b
                    WHERE b.user_id = pending.user_id AND b.code COLLATE "C" = pending.code
                      AND b.thing = pending.thing AND NOT b.by_hand
                      AND (b.evidence ->> 'tenant') IS NOT DISTINCT FROM (pending.evidence ->> 'tenant');
                END IF;
            END IF;
            IF may_become_true THEN
                UPDATE {pending} AS p
                SET evidence = p.evidence || jsonb_build_object('beside', still.open)
                FROM (
                    SELECT q.id, jsonb_agg(each.id) AS open
                    FROM {pending} AS q
                    CROSS JOIN jsonb_array_elements_text(beside) AS each (id)
                    WHERE q.id = ANY (pending.ids) AND coalesce(q.evidence -> 'beside' ? each.id, true)
                    GROUP BY q.id
                ) AS still
                WHERE p.id = still.id;
            END IF;
            -- Unless the user has got another key meanwhile, to which it is moved before it is evaluated again.
            DELETE FROM {pending} AS p
            WHERE p.id = ANY (pending.ids)
              AND NOT (may_become_true AND coalesce(p.evidence -> 'beside' <@ beside, false))
              AND NOT (
                  EXISTS (SELECT FROM {former_keys} AS f WHERE f.former_key = pending.user_id::text)
                  AND NOT EXISTS (SELECT FROM {users} AS u WHERE u.{user_key} = pending.user_id));
            IF FOUND THEN
                settled := settled + cardinality(pending.ids);
            ELSE
                kept := kept + cardinality(pending.ids);
            END IF;
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected OR foreign_key_violation THEN
                kept := kept + cardinality(pending.ids);
                -- The transaction waits in vain once, not for each of its checks.
                PERFORM {seal}('patience', ''), set_config('lock_timeout', '1ms', true);
            WHEN OTHERS OR assert_failure THEN
                GET STACKED DIAGNOSTICS lacking = COLUMN_NAME;
                IF SQLSTATE = '42703' AND lacking = 'evidence' THEN
                    -- The condition or its table has changed since: the stored values can never be evaluated again.
                    DELETE FROM {pending} AS p WHERE p.id = ANY (pending.ids);
                    PERFORM {note_failure}(
                        pending.code, SQLSTATE, SQLERRM, 1, coalesce(pending.evidence ->> 'tenant', ''));
                    settled := settled + cardinality(pending.ids);
                    CONTINUE;
                END IF;
                kept := kept + cardinality(pending.ids);
                IF left(SQLSTATE, 2) IN ('40', '53', '55') THEN
                    CONTINUE;  -- a lack of resources, for instance: no error of the condition
                END IF;
                UPDATE {pending} AS p SET failed_at = clock_timestamp()
                WHERE p.id = ANY (pending.ids);
                PERFORM {note_failure}(
                    pending.code, SQLSTATE, SQLERRM, 1, coalesce(pending.evidence ->> 'tenant', ''));
        END;
    END LOOP;
    PERFORM set_config('badges.event', coalesce(previous_event, ''), true);
END
$badges$

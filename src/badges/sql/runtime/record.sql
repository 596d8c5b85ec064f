CREATE OR REPLACE FUNCTION {function}(
    users {key}[],
    things text[],
    codes text[],
    evidences jsonb[],
    verdicts text[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET lock_timeout = {timeout}
AS $badges$
-- Carries out the verdicts of a trigger: awards, revokes, and leaves pending checks.
-- A verdict is 'award', 'revoke' or 'check'. What cannot be done in time becomes a pending check. Never fails, and
-- waits for each lock of another transaction no longer than BADGES_WAIT.
{origin}
DECLARE
    previous_event CONSTANT text := current_setting('badges.event', true);
    left_over integer[];
    wanted integer[];
    about text[];
BEGIN
    IF {is_impatient} THEN
        PERFORM set_config('lock_timeout', '1ms', true);
    END IF;
    IF 'award' = ANY (verdicts) THEN
        BEGIN
            -- Users who are not there yet (a deferred foreign key), or whom an older snapshot does not show.
            left_over := ARRAY(
                SELECT found.place
                FROM unnest(users, verdicts) WITH ORDINALITY AS found (user_id, verdict, place)
                WHERE found.verdict = 'award'
                  AND (
                      SELECT true FROM {users} AS u
                      WHERE u.{user_key} = found.user_id{key_share}) IS NULL);
            {check_keys}
            IF EXISTS (
                SELECT FROM {definitions} AS d
                WHERE d.code = ANY (codes) AND d.expires_after <> ''
            ) THEN
                DELETE FROM {badges} AS b
                USING unnest(users, things, codes, verdicts) AS found (user_id, thing, code, verdict)
                WHERE found.verdict = 'award'
                  AND b.user_id = found.user_id AND b.code COLLATE "C" = found.code AND b.thing = found.thing
                  AND b.expires_at <= statement_timestamp();
            END IF;
            INSERT INTO {badges} (user_id, code, thing, evidence, expires_at)
            SELECT found.user_id, found.code, found.thing, {shortened}(found.evidence),
                   {expires_at}
            FROM unnest(users, things, codes, evidences, verdicts) WITH ORDINALITY
                AS found (user_id, thing, code, evidence, verdict, place)
            WHERE found.verdict = 'award' AND found.place <> ALL (left_over)
            ON CONFLICT DO NOTHING;
        EXCEPTION WHEN OTHERS THEN
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            ELSIF SQLSTATE = '55P03' THEN
                PERFORM {seal}('patience', '');
            END IF;
            left_over := left_over || {record_parts}(users, things, codes, evidences, verdicts);
        END;
    END IF;
    IF 'revoke' = ANY (verdicts) THEN
        BEGIN
            PERFORM {seal}('event', jsonb_build_object(
                'cause', (evidences[1] ->> 'operation') || ' on ' || (evidences[1] ->> 'table'))::text);
            DELETE FROM {badges} AS b
            USING unnest(users, things, codes, evidences, verdicts) AS found (user_id, thing, code, evidence, verdict)
            WHERE found.verdict = 'revoke'
              AND b.user_id = found.user_id AND b.code COLLATE "C" = found.code AND b.thing = found.thing
              AND NOT b.by_hand
              -- Of the tenants that share this table, the one whose rows have earned a badge revokes it.
              AND (b.evidence ->> 'tenant') IS NOT DISTINCT FROM (found.evidence ->> 'tenant');
            PERFORM set_config('badges.event', coalesce(previous_event, ''), true);
        EXCEPTION WHEN OTHERS THEN
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            ELSIF SQLSTATE = '55P03' THEN
                PERFORM {seal}('patience', '');
            END IF;
            left_over := left_over || array_positions(verdicts, 'revoke');
        END;
    END IF;
    IF 'check' = ANY (verdicts) OR cardinality(left_over) > 0 THEN
        BEGIN
            -- Longer than BADGES_WAIT, as two writers that extend the table wait for each other a moment, and without a
            -- pending check a badge could be lost. Bounded all the same: the table itself may be locked.
            PERFORM set_config(
                'lock_timeout',
                CASE WHEN {sealed}('unwritten') IS NULL THEN '200ms' ELSE '1ms' END,
                true);
            -- What the check is about: the same for checks that one evaluation decides.
            about := ARRAY(
                SELECT CASE WHEN found.evidence ? 'waits' THEN concat_ws(' ', 'waits', found.evidence ->> 'tenant')
                            WHEN found.evidence ->> 'asks' = 'state' THEN coalesce(found.evidence ->> 'tenant', '')
                            ELSE encode(sha256(convert_to(concat_ws(
                                '|', coalesce(found.evidence ->> 'asks', found.evidence ->> 'operation'),
                                found.evidence -> 'new', found.evidence -> 'old', found.evidence -> 'tenant'),
                                'UTF8')), 'base64') END
                FROM unnest(evidences) WITH ORDINALITY AS found (evidence, place)
                ORDER BY found.place);
            wanted := ARRAY(
                SELECT found.place
                FROM unnest(users, verdicts) WITH ORDINALITY AS found (user_id, verdict, place)
                WHERE (found.verdict = 'check' OR found.place = ANY (left_over))
                  AND (found.user_id IS NOT NULL OR evidences[found.place] ? 'path'));
            -- A check that is there already serves this transaction as well, if its lock is shared to the end: the
            -- settler then evaluates after this transaction has ended. Not so for a row that will be gone (OLD), nor
            -- for a check that waits for the transactions that are open at the end of this one.
            IF current_setting('transaction_isolation') IN ('read committed', 'repeatable read') THEN
                IF current_setting('transaction_isolation') = 'repeatable read' THEN
                    wanted := ARRAY(
                        SELECT each.place
                        FROM unnest(wanted) AS each (place)
                        WHERE NOT EXISTS (
                            SELECT FROM {pending} AS p
                            WHERE p.user_id = users[each.place] AND p.code = codes[each.place]
                              AND p.thing = things[each.place] AND p.what = about[each.place]
                              AND p.noted_by = pg_current_xact_id()::text::bigint));
                END IF;
                BEGIN
                    wanted := ARRAY(
                        SELECT each.place FROM unnest(wanted) AS each (place)
                        EXCEPT ALL
                        SELECT each.place
                        FROM unnest(wanted) AS each (place)
                        CROSS JOIN LATERAL (
                            SELECT FROM {pending} AS p
                            WHERE p.user_id = users[each.place] AND p.code = codes[each.place]
                              AND p.thing = things[each.place] AND p.what = about[each.place]
                              AND p.failed_at IS NULL
                            LIMIT 1
                            FOR SHARE SKIP LOCKED
                        ) AS shared
                        WHERE NOT evidences[each.place] ?| '{{old,waits}}');
                EXCEPTION WHEN serialization_failure THEN
                    NULL;  -- the check that the snapshot shows has been settled since
                END;
            END IF;
            INSERT INTO {pending} (bucket, user_id, code, thing, what, evidence)
            SELECT coalesce({bucket}, 0),
                   found.user_id, found.code, found.thing, found.what, found.evidence
            FROM unnest(wanted) AS each (place)
            CROSS JOIN LATERAL (
                SELECT users[each.place], codes[each.place], things[each.place], about[each.place],
                       evidences[each.place]
            ) AS found (user_id, code, thing, what, evidence)
            ON CONFLICT DO NOTHING;
            IF {notify} THEN
                PERFORM pg_notify('badges', '');
            END IF;
        EXCEPTION WHEN lock_not_available THEN
            -- The write succeeds. award_badges finds what it may have earned, and the failure asks for it.
            PERFORM {seal}('unwritten', '');
            PERFORM {note_failure}(
                found.code, '55P03', 'its pending checks could not be written, as their table was locked',
                count(*)::integer, coalesce(max(found.evidence ->> 'tenant'), ''))
            FROM unnest(codes, verdicts, evidences) WITH ORDINALITY AS found (code, verdict, evidence, place)
            WHERE found.verdict = 'check' OR found.place = ANY (left_over)
            GROUP BY found.code;
        END;
    END IF;
END
$badges$

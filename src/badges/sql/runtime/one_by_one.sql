-- Looks at badges one by one for each changed row, after they could not be looked at together: the one whose condition
-- fails is noted and skipped, the others are awarded as ever.
CREATE OR REPLACE FUNCTION {function}(asks text, occasion jsonb, users {key}[], things text[], news jsonb[], olds jsonb[], codes text[], cross_row boolean[], revocable boolean[], reads jsonb[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $badges$
DECLARE
    looked record;
    found record;
    stuck text[] := '{{}}';
    failures text[];
    place integer;
    failed_codes text[];
    sqlstates text[];
    messages text[];
    times integer[];
BEGIN
    FOR looked IN
        SELECT changed.user_id, changed.thing, changed.new, changed.old, badge.code, badge.is_cross_row, badge.is_revocable,
               held.is_held,
               coalesce(
                   occasion,
                   jsonb_build_object(
                       'operation', asks,
                       'new', (SELECT jsonb_object_agg(c.key, c.value) FROM jsonb_each(changed.new) AS c
                               WHERE badge.reads -> 'new' ? c.key),
                       'old', (SELECT jsonb_object_agg(c.key, c.value) FROM jsonb_each(changed.old) AS c
                               WHERE badge.reads -> 'old' ? c.key))) AS evidence
        FROM unnest(users, things, news, olds) AS changed (user_id, thing, new, old)
        CROSS JOIN unnest(codes, cross_row, revocable, reads) AS badge (code, is_cross_row, is_revocable, reads)
        CROSS JOIN LATERAL (
            SELECT EXISTS (
                SELECT FROM {badges} AS b
                WHERE b.user_id = changed.user_id AND b.code COLLATE "C" = badge.code AND b.thing = changed.thing
                  AND (b.expires_at IS NULL OR b.expires_at > statement_timestamp())) AS is_held
        ) AS held
        WHERE changed.user_id IS NOT NULL AND changed.thing IS NOT NULL AND (badge.is_revocable OR NOT held.is_held)
    LOOP
        BEGIN
            IF looked.code = ANY (stuck) THEN
                RAISE lock_not_available;
            END IF;
            SELECT * INTO found
            FROM {check}(looked.code, asks, looked.user_id, looked.thing, looked.new, looked.old, false);
            IF found.earned AND NOT looked.is_held THEN
                PERFORM {record}(
                    ARRAY[looked.user_id], ARRAY[looked.thing], ARRAY[looked.code],
                    ARRAY[coalesce(found.evidence, looked.evidence)], ARRAY['award']);
            END IF;
            -- The locks were lost with the failed statement, so what may be otherwise for others is left to a pending check.
            IF looked.is_revocable OR looked.is_cross_row AND NOT found.earned THEN
                PERFORM {record}(
                    ARRAY[looked.user_id], ARRAY[looked.thing], ARRAY[looked.code],
                    ARRAY[coalesce(found.evidence, looked.evidence)], ARRAY['check']);
            END IF;
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            ELSIF left(SQLSTATE, 2) IN ('40', '53', '55') THEN
                -- Not the condition's fault: a deadlock, a lock, a lack of memory. It is looked at again later. What waits
                -- for a lock in vain, as for a table that is being altered, does so once and not for each row.
                IF SQLSTATE = '55P03' THEN
                    stuck := stuck || looked.code;
                END IF;
                PERFORM {record}(
                    ARRAY[looked.user_id], ARRAY[looked.thing], ARRAY[looked.code], ARRAY[looked.evidence], ARRAY['check']);
            ELSE
                -- Written down once for all rows, as each change of a row in one transaction makes the next one slower.
                place := array_position(failures, SQLSTATE || looked.code);
                IF place IS NULL THEN
                    failures := failures || (SQLSTATE || looked.code);
                    failed_codes := failed_codes || looked.code;
                    sqlstates := sqlstates || SQLSTATE;
                    messages := messages || SQLERRM;
                    times := times || 1;
                ELSE
                    times[place] := times[place] + 1;
                END IF;
            END IF;
        END;
    END LOOP;
    FOR place IN 1 .. coalesce(cardinality(failures), 0) LOOP
        BEGIN
            PERFORM {note_failure}(failed_codes[place], sqlstates[place], messages[place], times[place]);
        EXCEPTION WHEN OTHERS THEN
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            END IF;
            RAISE WARNING 'badge % failed: %; and that could not be recorded: %', failed_codes[place], messages[place], SQLERRM;
        END;
    END LOOP;
END
$badges$

CREATE OR REPLACE FUNCTION {function}(
    asks text,
    occasion jsonb,
    users {key}[],
    things text[],
    news jsonb[],
    olds jsonb[],
    codes text[],
    cross_row boolean[],
    revocable boolean[],
    reads jsonb[],
    tenant text DEFAULT ''::text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $badges$
-- Checks badges one by one for each changed row, after checking them together has failed.
-- A badge whose condition fails is recorded and skipped; the others are awarded as usual.
{origin}
DECLARE
    item record;
    result record;
    stuck text[] := coalesce({deferred}(codes), '{{}}');
    due timestamptz;
    failures text[];
    place integer;
    failed_codes text[];
    sqlstates text[];
    messages text[];
    times integer[];
BEGIN
    FOR item IN
        SELECT changed.user_id, changed.thing, changed.new, changed.old,
               badge.code, badge.is_cross_row, badge.is_revocable, held.is_held,
               coalesce(
                   occasion,
                   jsonb_build_object(
                       'operation', asks,
                       'new', (SELECT jsonb_object_agg(c.key, c.value) FROM jsonb_each(changed.new) AS c
                               WHERE badge.reads -> 'new' ? c.key),
                       'old', (SELECT jsonb_object_agg(c.key, c.value) FROM jsonb_each(changed.old) AS c
                               WHERE badge.reads -> 'old' ? c.key))
                   || CASE tenant WHEN '' THEN '{{}}' ELSE jsonb_build_object('tenant', tenant) END) AS evidence
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
            IF item.code = ANY (stuck) THEN
                RAISE lock_not_available;
            END IF;
            due := {due};
            IF tenant <> '' THEN
                SELECT * INTO result
                FROM {check_in}(
                    tenant, item.code, asks, item.user_id, item.thing, item.new, item.old, false);
            ELSE
                SELECT * INTO result
                FROM {check}(item.code, asks, item.user_id, item.thing, item.new, item.old, false);
            END IF;
            IF clock_timestamp() > due THEN
                PERFORM {note_overrun}(ARRAY[item.code], due, 1);
                stuck := stuck || item.code;  -- one is enough for a write
            END IF;
            IF result.earned AND NOT item.is_held THEN
                PERFORM {record}(
                    ARRAY[item.user_id], ARRAY[item.thing], ARRAY[item.code],
                    ARRAY[coalesce(result.evidence, item.evidence)], ARRAY['award']);
            END IF;
            -- The locks were released with the failed statement, so a concurrent transaction may be about to change
            -- this result: a pending check is left.
            IF item.is_revocable OR item.is_cross_row AND NOT result.earned THEN
                PERFORM {record}(
                    ARRAY[item.user_id], ARRAY[item.thing], ARRAY[item.code],
                    ARRAY[coalesce(result.evidence, item.evidence)], ARRAY['check']);
            END IF;
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            ELSIF left(SQLSTATE, 2) IN ('40', '53', '55')
                  OR left(SQLSTATE, 2) = '42' AND item.evidence ->> 'old' IS NOT NULL
            THEN
                -- Not an error of the condition: a deadlock, a lock timeout, a lack of memory, a column whose type has
                -- changed. A pending check is left. So for a right, a table or a function that is missing, if OLD
                -- decides the badge, as nothing else keeps that row.
                -- After one lock timeout (a table that is being altered, say) the badge's other rows are not tried.
                IF SQLSTATE = '55P03' AND item.code <> ALL (stuck) THEN
                    stuck := stuck || item.code;
                END IF;
                PERFORM {record}(
                    ARRAY[item.user_id], ARRAY[item.thing], ARRAY[item.code], ARRAY[item.evidence], ARRAY['check']);
            ELSE
                -- Recorded once for all rows, as each update of a row in one transaction makes the next one slower.
                place := array_position(failures, SQLSTATE || item.code);
                IF place IS NULL THEN
                    failures := failures || (SQLSTATE || item.code);
                    failed_codes := failed_codes || item.code;
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
            PERFORM {note_failure}(
                failed_codes[place], sqlstates[place], messages[place], times[place], tenant);
        EXCEPTION WHEN OTHERS THEN
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            END IF;
            RAISE WARNING 'badge % failed: %; and that could not be recorded: %',
                failed_codes[place], messages[place], SQLERRM;
        END;
    END LOOP;
END
$badges$

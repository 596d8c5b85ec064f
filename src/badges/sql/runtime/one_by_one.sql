-- Looks at badges one by one for each changed row, after they could not be looked at together: the one whose condition
-- fails is noted and skipped, the others are awarded as ever.
CREATE OR REPLACE FUNCTION {function}(event text, users {key}[], news jsonb[], olds jsonb[], codes text[], cross_row boolean[], reads jsonb[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $badges$
DECLARE
    lacking record;
    found record;
    stuck text[] := '{{}}';
    failures text[];
    place integer;
    failed_codes text[];
    sqlstates text[];
    messages text[];
    times integer[];
BEGIN
    FOR lacking IN
        SELECT changed.user_id, changed.new, changed.old, badge.code, badge.is_cross_row, badge.reads
        FROM unnest(users, news, olds) AS changed (user_id, new, old)
        CROSS JOIN unnest(codes, cross_row, reads) AS badge (code, is_cross_row, reads)
        WHERE changed.user_id IS NOT NULL
          AND NOT EXISTS (SELECT FROM {badges} AS b WHERE b.user_id = changed.user_id AND b.code COLLATE "C" = badge.code)
    LOOP
        BEGIN
            IF lacking.code = ANY (stuck) THEN
                RAISE lock_not_available;
            END IF;
            SELECT * INTO found FROM {check}(lacking.code, event, lacking.user_id, lacking.new, lacking.old, false);
            IF found.earned OR lacking.is_cross_row THEN
                -- What is not earned is left to a pending check: the locks were lost with the failed statement.
                PERFORM {record}(ARRAY[lacking.user_id], ARRAY[lacking.code], ARRAY[found.evidence], ARRAY[found.earned]);
            END IF;
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            ELSIF left(SQLSTATE, 2) IN ('40', '53', '55') THEN
                -- Not the condition's fault: a deadlock, a lock, a lack of memory. It is looked at again later. What waits
                -- for a lock in vain, as for a table that is being altered, does so once and not for each row.
                IF SQLSTATE = '55P03' THEN
                    stuck := stuck || lacking.code;
                END IF;
                PERFORM {record}(
                    ARRAY[lacking.user_id], ARRAY[lacking.code],
                    ARRAY[jsonb_build_object(
                        'operation', event,
                        'new', (SELECT jsonb_object_agg(c.key, c.value) FROM jsonb_each(lacking.new) AS c
                                WHERE lacking.reads -> 'new' ? c.key),
                        'old', (SELECT jsonb_object_agg(c.key, c.value) FROM jsonb_each(lacking.old) AS c
                                WHERE lacking.reads -> 'old' ? c.key))],
                    ARRAY[false]);
            ELSE
                -- Written down once for all rows, as each change of a row in one transaction makes the next one slower.
                place := array_position(failures, SQLSTATE || lacking.code);
                IF place IS NULL THEN
                    failures := failures || (SQLSTATE || lacking.code);
                    failed_codes := failed_codes || lacking.code;
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

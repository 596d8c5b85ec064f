-- Counts a failure in any row for it that nobody else is changing, or else in a row of its own: writers never queue here,
-- and there are no more rows than there were writers at once.
CREATE OR REPLACE FUNCTION {function}(failed_code text, failed_sqlstate text, failed_message text, times integer DEFAULT 1)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '0'
AS $badges$
DECLARE
    noted jsonb := coalesce(nullif(current_setting('badges.noted', true), ''), '{{}}');
    kind text := failed_sqlstate || failed_code;
BEGIN
    -- A transaction notes the same failure a hundred times at most: each time it gets slower, and no wiser.
    IF (noted ->> kind)::integer >= 100 THEN
        RETURN;
    END IF;
    noted := noted || jsonb_build_object(kind, coalesce((noted ->> kind)::integer, 0) + 1);
    PERFORM set_config('badges.noted', noted::text, true);
    BEGIN
        UPDATE {failures}
        SET occurrences = occurrences + times, last_at = clock_timestamp(), message = failed_message
        WHERE id = (
            SELECT f.id FROM {failures} AS f
            WHERE f.code = failed_code AND f.sqlstate = failed_sqlstate
            LIMIT 1 FOR UPDATE SKIP LOCKED
        );
        IF FOUND THEN
            RETURN;
        END IF;
    EXCEPTION WHEN serialization_failure OR numeric_value_out_of_range THEN
        NULL;  -- somebody has counted since our snapshot, or the row is full
    END;
    INSERT INTO {failures} (code, sqlstate, message, occurrences)
    VALUES (failed_code, failed_sqlstate, failed_message, times);
END
$badges$

CREATE OR REPLACE FUNCTION {function}(
    failed_code text,
    failed_sqlstate text,
    failed_message text,
    times integer DEFAULT 1,
    failed_tenant text DEFAULT ''::text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '200ms'
AS $badges$
-- Records that the condition of a badge has failed.
-- It counts in any row of that failure which no other transaction has locked, or else inserts a row: writers never wait
-- for each other here, and there are at most as many rows as there were concurrent writers.
{origin}
DECLARE
    noted jsonb := coalesce({sealed}('noted'), '{{}}');
    kind text := failed_sqlstate || failed_code;
    is_locked boolean := false;
BEGIN
    IF {sealed}('unrecorded') IS NOT NULL THEN
        -- The table was locked before in this transaction: what it costs to find that out again is bounded.
        PERFORM set_config('lock_timeout', '1ms', true);
    END IF;
    -- A transaction records the same failure at most 100 times: each update of the row makes the next one slower.
    IF (noted ->> kind)::integer >= 100 THEN
        RETURN;
    END IF;
    noted := noted || jsonb_build_object(kind, coalesce((noted ->> kind)::integer, 0) + 1);
    PERFORM {seal}('noted', noted::text);
    BEGIN
        UPDATE {failures}
        SET occurrences = occurrences + times, last_at = clock_timestamp(), message = failed_message
        WHERE id = (
            SELECT f.id FROM {failures} AS f
            WHERE f.code = failed_code AND f.sqlstate = failed_sqlstate AND f.tenant = failed_tenant
            LIMIT 1 FOR UPDATE SKIP LOCKED
        );
        IF FOUND THEN
            RETURN;
        END IF;
    EXCEPTION
        WHEN serialization_failure OR numeric_value_out_of_range THEN
            NULL;  -- another transaction has updated the row since the snapshot, or its counter is full
        WHEN lock_not_available THEN
            is_locked := true;
    END;
    IF NOT is_locked THEN
        BEGIN
            INSERT INTO {failures} (code, sqlstate, message, occurrences, tenant)
            VALUES (failed_code, failed_sqlstate, failed_message, times, failed_tenant);
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            NULL;
        END;
    END IF;
    -- The table is locked, and no write waits for it longer: the server's log has to do.
    PERFORM {seal}('unrecorded', '');
    RAISE WARNING 'badge % failed: % (SQLSTATE %); and that could not be recorded, as the table was locked',
        failed_code, failed_message, failed_sqlstate;
END
$badges$

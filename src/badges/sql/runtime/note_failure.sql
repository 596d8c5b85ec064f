-- Counts a failure in any row for it that nobody else is changing, or else in a row of its own: writers never queue here,
-- and there are no more rows than there were writers at once.
CREATE OR REPLACE FUNCTION {function}(failed_code text, failed_sqlstate text, failed_message text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '0'
AS $badges$
BEGIN
    BEGIN
        UPDATE {failures}
        SET occurrences = occurrences + 1, last_at = clock_timestamp(), message = failed_message
        WHERE id = (
            SELECT f.id FROM {failures} AS f
            WHERE f.code = failed_code AND f.sqlstate = failed_sqlstate
            LIMIT 1 FOR UPDATE SKIP LOCKED
        );
        IF FOUND THEN
            RETURN;
        END IF;
    EXCEPTION WHEN serialization_failure THEN
        NULL;  -- somebody has counted since our snapshot
    END;
    INSERT INTO {failures} (code, sqlstate, message) VALUES (failed_code, failed_sqlstate, failed_message);
END
$badges$

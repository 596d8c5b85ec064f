CREATE OR REPLACE FUNCTION {function}(
    slow_codes text[],
    due timestamp with time zone,
    evaluations bigint)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1ms'
AS $badges$
-- Records that badges, evaluated together so many times, took longer than BADGES_BUDGET each time.
-- It was due, that is when the budget of one evaluation was spent, at the given time.
-- Each row is inserted without reading others, so writers wait for nothing here, and there are few: once there are
-- three of a badge, no write evaluates it.
{origin}
DECLARE
    milliseconds CONSTANT double precision :=
        ({budget} + 1000 * extract(epoch FROM clock_timestamp() - due)) / greatest(evaluations, 1);
BEGIN
    IF milliseconds > {budget} AND cardinality(slow_codes) > 0 THEN
        BEGIN
            INSERT INTO {overruns} (codes, milliseconds)
            SELECT slow_codes, milliseconds FROM generate_series(1, least(evaluations, 3));
            PERFORM set_config('badges.look', '', false);
        EXCEPTION WHEN lock_not_available THEN
            NULL;  -- the table is locked: the next one is recorded
        END;
    END IF;
END
$badges$

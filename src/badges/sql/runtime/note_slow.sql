CREATE OR REPLACE FUNCTION {function}(slow_code text, due timestamp with time zone)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1ms'
AS $badges$
-- Records that settling a pending check took longer than BADGES_BUDGET for this badge alone.
-- If it was evaluated together with others when it was deferred, those are not deferred any longer, save the levels of
-- the same progress. A write that settles counts as one that evaluates.
{origin}
BEGIN
    BEGIN
        UPDATE {overruns} AS o
        SET codes = ARRAY(
                SELECT each.code
                FROM unnest(o.codes) AS each (code)
                WHERE each.code = slow_code
                   OR EXISTS (
                       SELECT FROM {definitions} AS d
                       JOIN {definitions} AS slow USING (progress)
                       WHERE slow.code = slow_code AND d.code = each.code AND d.progress <> ''))
        WHERE o.ctid = ANY (ARRAY(
            SELECT o.ctid FROM {overruns} AS o
            WHERE slow_code = ANY (o.codes) AND cardinality(o.codes) > 1
            FOR UPDATE SKIP LOCKED));
    EXCEPTION WHEN lock_not_available OR serialization_failure THEN
        NULL;  -- the next one records it
    END;
    IF pg_trigger_depth() > 0 THEN
        PERFORM {note_overrun}(ARRAY[slow_code], due, 1);
    END IF;
END
$badges$

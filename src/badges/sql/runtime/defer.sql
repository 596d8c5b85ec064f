CREATE OR REPLACE FUNCTION {function}(deferred_code text)
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Defers a badge: writes leave pending checks instead of evaluating its condition, until badges_resume() is called.
{origin}
BEGIN
    INSERT INTO {overruns} (codes)
    SELECT ARRAY[deferred_code] FROM generate_series(1, 3);
END
$badges$

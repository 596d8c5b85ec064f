CREATE OR REPLACE FUNCTION {function}(resumed_code text)
RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Has writes evaluate a deferred badge again, and returns whether it was deferred.
{origin}
DECLARE
    was_deferred CONSTANT boolean := {deferred}(ARRAY[resumed_code]) IS NOT NULL;
BEGIN
    -- Other badges that were evaluated together with it stay as they are.
    UPDATE {overruns} AS o
    SET codes = array_remove(o.codes, resumed_code)
    WHERE resumed_code = ANY (o.codes);
    DELETE FROM {overruns} AS o WHERE o.codes = '{{}}';
    RETURN was_deferred;
END
$badges$

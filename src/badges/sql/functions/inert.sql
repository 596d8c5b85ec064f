CREATE OR REPLACE FUNCTION {function}()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Trigger function: does nothing until create_badge_triggers has finished.
-- It stands in while triggers are made on several tables, so that a rule begins on all of them at once. If it stays,
-- the command was interrupted: run it again.
{origin}
BEGIN
    RETURN NULL;
END
$badges$

-- A trigger function that does nothing: while triggers are made on several tables, so that a rule begins on all at once.
CREATE OR REPLACE FUNCTION {function}()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $badges$
BEGIN
    -- Made by create_badge_triggers, whose last transactions have not run yet: run it again.
    RETURN NULL;
END
$badges$

CREATE OR REPLACE FUNCTION {function}()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Has the foreign keys of awards and events checked at once, although the session may have deferred all constraints.
-- Deferred, they would fail the COMMIT of the write if another transaction deletes the user meanwhile.
{origin}
BEGIN
    BEGIN
        SET CONSTRAINTS {constraints} IMMEDIATE;
    EXCEPTION WHEN undefined_object OR foreign_key_violation THEN
        NULL;  -- there is none to defer, or loaddata has loaded badges of users whom it has yet to load
    END;
END
$badges$

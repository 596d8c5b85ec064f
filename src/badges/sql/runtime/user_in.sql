CREATE OR REPLACE FUNCTION {function}(
    tenant text,
    starting_table text,
    path text,
    start text,
    OUT found_user {key})
RETURNS {key}
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Returns the user to whom a path leads among the tables of a tenant; NULL if there is none.
-- Calls the function badges_user_of of the tenant's schema.
{origin}
DECLARE
    own CONSTANT text := format('%I.badges_user_of', tenant);
BEGIN
    -- Another role may have taken the schema over since.
    IF EXISTS (
        SELECT FROM pg_proc AS p
        WHERE p.oid = to_regproc(own) AND p.proowner = (SELECT r.oid FROM pg_roles AS r WHERE r.rolname = current_user))
    THEN
        EXECUTE format('SELECT %s($1, $2, $3)', own) INTO found_user USING starting_table, path, start;
    END IF;
END
$badges$
